import Foundation
package import JSON
package import OsloMessaging
package import VolumeSwap

extension SwapStatus {
    /// The status with what has happened to the task: for `get_swap` with `history`. Secrets are masked.
    package func json(_ failures: NovaFailure, history: [HistoryEntry]) -> JSONValue {
        var members = json(failures).objectValue ?? [:]
        members["caller"] = caller
        members["reply"] = .string(reply(history))
        members["history"] = .array(history.map(\.json))
        return .object(members)
    }

    /// Who asked for the swap, as far as oslo's context says.
    private var caller: JSONValue {
        func member(_ keys: String...) -> JSONValue {
            let texts = keys.lazy.compactMap { record.context[$0]?.redacted().stringValue }
            return texts.first { !$0.isEmpty }.map { .string(Echo.cut($0)) } ?? .null
        }
        return [
            "user_id": member("user_id", "user"),
            "project_id": member("project_id", "tenant"),
            "reply_queue": record.replyTo.map { .string(Echo.cut($0.queue)) } ?? .null,
        ]
    }

    private func reply(_ history: [HistoryEntry]) -> String {
        for case .reply(let fate) in history.reversed().map(\.event) { return fate.rawValue }
        return record.replyTo == nil ? "none" : "owed"
    }
}

extension HistoryEntry {
    fileprivate var json: JSONValue {
        let (event, text) =
            switch event {
            case .phase(let phase): ("phase", phase.rawValue)
            case .note(let text): ("note", text)
            case .reply(let fate): ("reply", fate.rawValue)
            }
        return ["at": .string(SwapStatus.timestamp(at)), "event": .string(event), "text": .string(text)]
    }
}
