/// Why publishing or consuming failed.
package struct TransportError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What failed.
    package enum Code: String, Sendable, Hashable {
        /// There was no connection, or no confirm came in time.
        case disconnected
        /// The connection was lost while the message was in flight.
        case lost
        /// The broker closed the channel or the connection while the message was in flight, perhaps because of it.
        case suspected
        /// The broker does not allow this user to publish there (403).
        case forbidden
        /// The broker does not accept a message of this size (406).
        case tooLarge
        /// The transport has been closed.
        case closed
        /// The broker did not accept the message.
        case refused
        /// The message, or a name in it, cannot be sent at all.
        case invalid
        /// The task was cancelled.
        case cancelled
    }

    /// What failed.
    package let code: Code
    /// One line for an operator, without any password.
    package let message: String
    /// Whether the same call may succeed later.
    package let isRetriable: Bool

    package var description: String { message }
}
