/// Why a message is not a valid RPC message. Never quotes the message's values.
package struct EnvelopeError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What is wrong; the raw values appear in the log.
    package enum Code: String, Sendable, Hashable {
        /// The body, or its content, is not a JSON object.
        case notJSON = "not_json"
        /// The envelope's version is not 2.x.
        case unsupportedVersion = "unsupported_envelope"
        /// A required member is missing.
        case missingKey = "missing_key"
        /// A member has another JSON type.
        case wrongType = "wrong_type"
        /// The reply queue's name is reserved for the broker.
        case reservedQueue = "reserved_queue"
        /// The transport refused it, because of its size or its headers.
        case refused
    }

    /// What is wrong.
    package let code: Code
    /// One line, without the message's values.
    package let message: String
    /// Where the sender waits for a reply, if at least that could be read.
    package var replyAddress: ReplyAddress?

    package var description: String { message }
}
