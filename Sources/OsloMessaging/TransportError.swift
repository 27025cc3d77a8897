/// Why a message could not be handed to the broker, or consuming could not begin.
package struct TransportError: Error, Sendable, Hashable, CustomStringConvertible {
    package enum Code: String, Sendable, Hashable {
        /// No connection, or it broke before the broker confirmed.
        case disconnected
        /// The transport has been closed.
        case closed
        /// The broker did not take the message.
        case refused
        /// The message, or a name in it, cannot be sent at all.
        case invalid
        /// The task was cancelled.
        case cancelled
    }

    package let code: Code
    /// One line for an operator, without any password.
    package let message: String
    /// Whether the same call may succeed later.
    package let isRetriable: Bool

    package init(code: Code, message: String, isRetriable: Bool) {
        self.code = code
        self.message = message
        self.isRetriable = isRetriable
    }

    package var description: String { message }
}
