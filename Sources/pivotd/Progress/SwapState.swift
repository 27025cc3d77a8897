import Basics
import Foundation
import JSON

/// A task as `get_swap` and `list_swaps` report it.
struct SwapState: Sendable {
    let taskID: String
    let instance: String
    let disk: String
    let name: String
    let copied: Int64?
    let total: Int64?
    /// Bytes per second.
    let rate: Double?
    let secondsLeft: Double?
    /// The limit in force, in bytes per second; nil for none.
    let limit: Int64?
    let acceptedAt: Date?
    let finishedAt: Date?
    /// What a queued task waits for.
    let waitsFor: String?
    /// What delays a running one.
    let detail: String?
    let reasonCode: String?
    /// The volume that the guest runs on: `old`, `new`, `unknown`, `none`.
    let inUse: String?
    /// Seconds that a completed swap took.
    let duration: Double?
    let failure: String?

    init(_ value: JSONValue) {
        func text(_ key: String) -> String { value[key]?.stringValue?.escapingControls ?? "" }
        taskID = text("task_id")
        instance = text("instance_uuid")
        disk = text("disk")
        name = text("state")
        let progress = value["progress"]
        copied = progress?["copied_bytes"]?.integerValue
        total = progress?["total_bytes"]?.integerValue
        rate = progress?["rate_bytes_s"]?.doubleValue
        secondsLeft = progress?["eta_s"]?.doubleValue
        limit = progress?["limit_bytes_s"]?.integerValue
        acceptedAt = Timestamp.date(text("accepted_at"))
        finishedAt = Timestamp.date(text("finished_at"))
        func optional(_ key: String) -> String? { text(key).isEmpty ? nil : text(key) }
        waitsFor = optional("waits_for")
        detail = optional("detail")
        reasonCode = optional("reason_code")
        inUse = optional("in_use")
        duration = value["result"]?["duration_s"]?.doubleValue
        failure = Self.failure(value["failure"])
    }

    var isFinal: Bool { ["completed", "failed", "aborted"].contains(name) }
    var isSuccess: Bool { name == "completed" }
    var isQueued: Bool { name == "queued" }

    /// The copied fraction, from 0 to 1; nil while unknown.
    var fraction: Double? {
        if isSuccess { return 1 }
        guard let copied, let total, total > 0 else { return nil }
        return min(1, max(0, Double(copied) / Double(total)))
    }

    var percent: String { fraction.map { "\(Int($0 * 100)) %" } ?? "-" }

    private static func failure(_ value: JSONValue?) -> String? {
        switch value {
        case nil, .null?: nil
        case .string(let text)?: text.escapingControls
        case let value?:
            (value["message"] ?? value["reason"])?.stringValue?.escapingControls ?? value.serialized().escapingControls
        }
    }
}
