import JSON

extension RPCReply {
    /// The same outcome in fewer bytes, for a broker that refuses the reply for its size; nil if nothing can be omitted.
    ///
    /// A success stays one: the caller of a swap sent the new volume's connection_info itself. What cannot be shortened, such as
    /// a long list, becomes a failure that says so.
    func shortened(failures: NovaFailure) -> RPCReply? {
        switch content {
        case .heartbeat: return nil
        case .result(.object(let members)) where members["task_id"] != nil:
            if let short = Self.withoutConnectionInfo(members) { return with(.result(.object(short))) }
            // A successful swap is not reported as a failure.
            return members["state"] == nil ? nil : with(.failure(Self.tooLarge(failures)))
        case .result: return with(.failure(Self.tooLarge(failures)))
        case .failure(let failure):
            let short = failure.shortened
            return short == failure ? nil : with(.failure(short))
        }
    }

    /// A swap's result, or a status with one, without the connection_info; nil if there is none.
    private static func withoutConnectionInfo(_ members: JSONObject) -> JSONObject? {
        var members = members
        if members.removeValue(forKey: "connection_info") != nil {
            let warning: JSONValue = "connection_info: omitted, because the broker refuses a reply of that size"
            members["warnings"] = .array((members["warnings"]?.arrayValue ?? []).prefix(8).map(Self.cut) + [warning])
            return members
        }
        guard let result = members["result"]?.objectValue.flatMap(withoutConnectionInfo) else { return nil }
        members["result"] = .object(result)
        return members
    }

    private static func tooLarge(_ failures: NovaFailure) -> RemoteFailure {
        RPCServer.refusal(failures, "the answer exceeds the broker's max_message_size: request less")
    }

    private func with(_ content: Content) -> RPCReply { RPCReply(messageID: messageID, uniqueID: uniqueID, content: content) }

    fileprivate static func cut(_ value: JSONValue) -> JSONValue {
        switch value {
        case .string(let text): .string(Echo.cut(text))
        case .array(let members): .array(members.prefix(8).map(cut))
        default: value
        }
    }
}

extension RemoteFailure {
    /// With every string truncated to ``Echo/limit``.
    fileprivate var shortened: RemoteFailure {
        RemoteFailure(
            className: className, module: module, message: Echo.cut(message), args: args.prefix(1).map(RPCReply.cut),
            kwargs: kwargs.mapValues(RPCReply.cut))
    }
}
