/// Why a message cannot be read as an RPC message. Never quotes the message's values.
package struct EnvelopeError: Error, Sendable, Hashable, CustomStringConvertible {
    package enum Code: String, Sendable, Hashable {
        case notJSON = "not_json"
        case unsupportedVersion = "unsupported_envelope"
        case missingKey = "missing_key"
        case wrongType = "wrong_type"
        case reservedQueue = "reserved_queue"
        /// The transport did not take it, for its size or its headers.
        case refused
    }

    package let code: Code
    package let message: String
    /// Where the sender waits for an answer, when at least that much could be read.
    package let replyAddress: ReplyAddress?

    package init(code: Code, message: String, replyAddress: ReplyAddress? = nil) {
        self.code = code
        self.message = message
        self.replyAddress = replyAddress
    }

    package var description: String { message }
}
