package import JSON
package import OsloMessaging

/// A captured message with its envelope opened.
package enum CapturedMessage: Sendable {
    /// A call or a cast.
    case request(RPCRequest)
    case reply(RPCReply)
    case notification(eventType: String, content: JSONObject)
    /// None of these: garbage, or an incomplete request. `replyAddress` is set if it can still be answered.
    case unreadable(reason: String, replyAddress: ReplyAddress?)

    /// Opens the envelope of a line.
    package init(_ line: CaptureLine) {
        do {
            self = try Self.read(try Self.inner(line.body))
        } catch {
            self = .unreadable(reason: error.message, replyAddress: error.replyAddress)
        }
    }

    /// `call`, `cast`, `reply`, `heartbeat`, `notification` or `unreadable`.
    package var kind: String {
        switch self {
        case .request(let request): request.kind
        case .reply(let reply): reply.isFinal ? "reply" : "heartbeat"
        case .notification: "notification"
        case .unreadable: "unreadable"
        }
    }

    static let kinds = ["call", "cast", "reply", "heartbeat", "notification", "unreadable"]

    private static func read(_ inner: JSONObject) throws(EnvelopeError) -> CapturedMessage {
        if inner["method"] == nil {
            if let type = inner["event_type"]?.stringValue { return .notification(eventType: type, content: inner) }
            if inner["_msg_id"]?.stringValue != nil, inner["result"] != nil || inner["failure"] != nil {
                return .reply(try RPCReply(decoding: JSONValue.object(inner).serializedBytes()))
            }
        }
        return .request(try RPCRequest(inner: inner))
    }

    /// The content of a body, with or without an envelope.
    ///
    /// - Throws: ``EnvelopeError``.
    static func inner(_ body: CaptureLine.Body) throws(EnvelopeError) -> JSONObject {
        // The usual envelope, without parsing the outer JSON again.
        if case .json(let outer) = body, outer["oslo.version"] == "2.0", let text = outer["oslo.message"]?.stringValue,
            let inner = (try? JSONValue(parsing: text))?.objectValue
        {
            return inner
        }
        return try MessageEnvelope.unwrap(body.bytes)
    }
}

extension RPCRequest {
    /// `call` or `cast`.
    package var kind: String { messageID == nil ? "cast" : "call" }

    /// The instance's UUID, else its name; nil if the arguments name none.
    package var instance: String? {
        switch args["instance"] {
        case .string(let text): return text
        case .object(let object):
            let data = object["nova_object.data"]?.objectValue ?? object
            return data["uuid"]?.stringValue ?? data["name"]?.stringValue
        default: return nil
        }
    }

    /// The disk's name without `/dev/`.
    package var disk: String? { args["mountpoint"]?.stringValue.map(Self.diskName) }

    /// A disk's name without `/dev/`.
    static func diskName(_ text: String) -> String { text.hasPrefix("/dev/") ? String(text.dropFirst(5)) : text }

    /// The ids of the old and the new volume, if given.
    package var volumes: [String] {
        var volumes = [args["old_volume_id"]?.stringValue, args["new_volume_id"]?.stringValue]
        for side in ["old_connection_info", "new_connection_info"] {
            volumes += [args[side]?["serial"]?.stringValue, args[side]?["data"]?["volume_id"]?.stringValue]
        }
        return volumes.compactMap { $0 }
    }
}
