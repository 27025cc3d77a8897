package import JSON

/// A method call or cast received over the bus.
package struct RPCRequest: Sendable, Hashable {
    /// The method's name.
    package let method: String
    /// The method's arguments by name. May hold credentials.
    package let args: JSONObject
    /// The interface version that the client requires; nil means 1.0.
    package let version: String?
    /// oslo.messaging's namespace; nil for the default one.
    package let namespace: String?
    /// `_msg_id`: present for a call, absent for a cast.
    package let messageID: String?
    /// `_reply_q`; nil for a cast.
    package let replyQueue: String?
    /// `_timeout` in seconds: the caller expects a heartbeat within it.
    package let timeout: Double?
    /// `_unique_id`: the same for every delivery of one message.
    package let uniqueID: String?
    /// The request context: the `_context_*` members without the prefix. Holds credentials.
    package let context: JSONObject
    /// The whole inner message, unknown members included. Holds credentials.
    package let inner: JSONObject

    /// Where the final reply goes; nil for a cast.
    package let replyAddress: ReplyAddress?

    /// Parses a message body.
    ///
    /// - Throws: `EnvelopeError`, with the reply address if that could be read.
    package init(decoding body: [UInt8]) throws(EnvelopeError) {
        try self.init(inner: MessageEnvelope.unwrap(body))
    }

    /// Parses an inner message, the content of `oslo.message`.
    ///
    /// - Throws: `EnvelopeError`, with the reply address if that could be read.
    package init(inner: JSONObject) throws(EnvelopeError) {
        let timeout = inner["_timeout"]?.doubleValue.flatMap { $0 > 0 ? $0 : nil }
        let messageID = inner["_msg_id"]?.stringValue.flatMap { $0.isEmpty ? nil : $0 }
        let replyQueue = inner["_reply_q"]?.stringValue.flatMap { $0.isEmpty ? nil : $0 }
        var address: ReplyAddress?
        if let messageID, let replyQueue {
            let given = ReplyAddress(messageID: messageID, replyQueue: replyQueue, timeout: timeout)
            guard !given.isReserved else {
                throw EnvelopeError(code: .reservedQueue, message: "_reply_q: amq.rabbitmq.… is the broker's own")
            }
            address = given
        }
        self.timeout = timeout
        self.messageID = messageID
        self.replyQueue = replyQueue
        replyAddress = address

        let reader = MemberReader(members: inner, replyAddress: address)
        // A call whose id cannot be read must not be carried out as a cast.
        _ = try reader.string("_msg_id")
        _ = try reader.string("_reply_q")
        if let value = inner["_timeout"], !value.isNull, value.doubleValue == nil {
            throw reader.wrongType("_timeout", value, expected: "a number")
        }
        guard let method = try reader.string("method") else {
            throw EnvelopeError(code: .missingKey, message: "the message has no method", replyAddress: address)
        }
        self.method = method
        version = try reader.string("version")
        namespace = try reader.string("namespace")
        uniqueID = try reader.string("_unique_id")
        args = try reader.object("args") ?? [:]
        if messageID != nil, replyQueue == nil {
            throw EnvelopeError(code: .missingKey, message: "a call (_msg_id) without _reply_q")
        }
        var context = JSONObject()
        for (key, value) in inner where key.hasPrefix(Self.contextPrefix) {
            context[String(key.dropFirst(Self.contextPrefix.count))] = value
        }
        self.context = context
        self.inner = inner
    }

    static let contextPrefix = "_context_"
}

extension InboundMessage {
    /// The message as a request.
    ///
    /// - Throws: `EnvelopeError`, with the reply address if that could be read.
    func request() throws(EnvelopeError) -> RPCRequest {
        if let inner { return try RPCRequest(inner: inner) }
        let plain = decompressed
        if let refusal = plain.refusal { throw EnvelopeError(code: .refused, message: "the message was refused: \(refusal)") }
        return try RPCRequest(decoding: plain.body)
    }
}

/// Typed reading of an object's members; null counts as absent.
private struct MemberReader {
    let members: JSONObject
    let replyAddress: ReplyAddress?

    func string(_ key: String) throws(EnvelopeError) -> String? {
        guard let value = members[key], !value.isNull else { return nil }
        guard let text = value.stringValue else { throw wrongType(key, value, expected: "a string") }
        return text
    }

    func object(_ key: String) throws(EnvelopeError) -> JSONObject? {
        guard let value = members[key], !value.isNull else { return nil }
        guard let object = value.objectValue else { throw wrongType(key, value, expected: "an object") }
        return object
    }

    func wrongType(_ key: String, _ value: JSONValue, expected: String) -> EnvelopeError {
        EnvelopeError(
            code: .wrongType, message: "\(key): must be \(expected), is of type \(value.typeName)", replyAddress: replyAddress)
    }
}
