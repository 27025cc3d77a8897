import Basics
import Foundation
import JSON
import OsloMessaging
import VolumeSwap

extension SwapStatus {
    /// The task as `get_swap` and `list_swaps` show it. Secrets are masked.
    func json(_ failures: NovaFailure) -> JSONValue {
        let facts = record.facts
        return [
            "task_id": .string(facts.id.text),
            "instance_uuid": .string(instance),
            "disk": .string(facts.disk),
            "old_volume_id": facts.oldVolumeID.map { .string($0) } ?? .null,
            "new_volume_id": facts.newVolumeID.map { .string($0) } ?? .null,
            "strategy": strategy.map { .string($0.rawValue) } ?? .null,
            "hypervisor": .string(hypervisor),
            "state": .string(phase.publicState),
            "accepted_at": .string(Self.timestamp(facts.acceptedAt)),
            "started_at": facts.startedAt.map { .string(Self.timestamp($0)) } ?? .null,
            "finished_at": facts.finishedAt.map { .string(Self.timestamp($0)) } ?? .null,
            "request_id": requestID.map { .string($0) } ?? .null,
            "waits_for": waitsFor.map { .string($0) } ?? .null,
            "reason_code": failure.map { .string($0.code.rawValue) } ?? .null,
            "in_use": inUse.map { .string($0.rawValue) } ?? .null,
            "detail": detail.map { .string($0) } ?? .null,
            "progress": progress.json,
            "result": result,
            "failure": failure.map { failures.failure($0, task: facts.id.text, args: facts.args).json } ?? .null,
        ]
    }

    private var result: JSONValue {
        if case .success(let result)? = record.outcome { result.json.redacted() } else { .null }
    }

    /// RFC 3339 in UTC, to the millisecond.
    static func timestamp(_ date: Date) -> String { Timestamp.text(date, .milliseconds) }
}

extension SwapProgress {
    /// As status and notifications show it.
    var json: JSONValue {
        [
            "copied_bytes": .integer(copiedBytes),
            "total_bytes": .integer(totalBytes),
            "remaining_bytes": .integer(remainingBytes),
            "rate_bytes_s": rate.map { .integer(Int64($0)) } ?? .null,
            "eta_s": eta.map { .tenths($0) } ?? .null,
            "limit_bytes_s": limit.map { .integer($0) } ?? .null,
            "guest_latency_ms": guestLatency.map { .real(($0 * 1000).rounded() / 1000) } ?? .null,
            "copy_mode": isSynchronous.map { $0 ? "write-blocking" : "background" } ?? .null,
        ]
    }
}

extension JSONValue {
    /// Seconds, to a tenth.
    static func tenths(_ seconds: Double) -> JSONValue { .real((seconds * 10).rounded() / 10) }
}
