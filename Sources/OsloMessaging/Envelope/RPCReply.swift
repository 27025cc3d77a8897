package import JSON

/// One reply to a call: the final one, or a heartbeat before it.
///
/// Mirrors `_send_reply` in `oslo_messaging/_drivers/amqpdriver.py`.
package struct RPCReply: Sendable, Hashable {
    /// The content of a reply.
    package enum Content: Sendable, Hashable {
        /// Still alive, no result yet (`ending` false).
        case heartbeat
        /// The method's return value.
        case result(JSONValue)
        /// The exception it raised.
        case failure(RemoteFailure)
    }

    /// The call's `_msg_id`.
    package let messageID: String
    /// `_unique_id`, by which a client discards duplicates.
    package let uniqueID: String
    package let content: Content

    package init(messageID: String, uniqueID: String, content: Content) {
        self.messageID = messageID
        self.uniqueID = uniqueID
        self.content = content
    }

    /// Whether it ends the call.
    package var isFinal: Bool { content != .heartbeat }

    /// The inner message.
    package var inner: JSONObject {
        var result = JSONValue.null
        var failure = JSONValue.null
        switch content {
        case .heartbeat: break
        case .result(let value): result = value
        case .failure(let error): failure = .string(error.serialized())
        }
        return [
            "result": result, "failure": failure, "ending": .bool(isFinal), "_msg_id": .string(messageID),
            "_unique_id": .string(uniqueID),
        ]
    }

    /// The message body.
    package func encoded() -> [UInt8] {
        MessageEnvelope.wrap(inner)
    }

    /// Parses a reply's body.
    ///
    /// - Throws: ``EnvelopeError`` if it is not a reply.
    package init(decoding body: [UInt8]) throws(EnvelopeError) {
        let inner = try MessageEnvelope.unwrap(body)
        guard let messageID = inner["_msg_id"]?.stringValue else {
            throw EnvelopeError(code: .missingKey, message: "a reply without _msg_id")
        }
        self.messageID = messageID
        uniqueID = inner["_unique_id"]?.stringValue ?? ""
        if let failure = inner["failure"], !failure.isNull {
            guard let text = failure.stringValue else {
                throw EnvelopeError(code: .wrongType, message: "failure: must be a string, is of type \(failure.typeName)")
            }
            content = .failure(RemoteFailure(parsing: text))
        } else if inner["ending"]?.boolValue == true {
            content = .result(inner["result"] ?? .null)
        } else {
            content = .heartbeat
        }
    }
}
