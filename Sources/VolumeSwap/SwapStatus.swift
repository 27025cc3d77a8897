import Foundation
import JSON
import OrderedCollections

/// A task as `get_swap` and `list_swaps` show it. Secrets are masked.
enum SwapStatus {
    static func json(_ record: SwapRecord, control: SwapControl?, hypervisor: String) -> JSONValue {
        let phase = record.outcome?.phase ?? control?.phase ?? record.phase
        var result: JSONValue = .null
        var failure: JSONValue = .null
        switch record.outcome {
        case .success(let value): result = value.redacted()
        case .failure(let value): failure = ["kind": .string(value.kind.rawValue), "reason": .string(value.reason)]
        case nil: break
        }
        let plan = control?.plan ?? record.plan
        let strategy = result["strategy"] ?? plan.map { .string($0.strategy.rawValue) } ?? .null
        return [
            "task_id": .string(record.id.text),
            "instance_uuid": result["instance_uuid"] ?? .string(plan?.domain.uuid ?? record.instanceKey),
            "disk": .string(record.disk),
            "old_volume_id": record.args["old_volume_id"] ?? .null,
            "new_volume_id": record.args["new_volume_id"] ?? .null,
            "strategy": strategy,
            "hypervisor": .string(hypervisor),
            "state": .string(phase.publicState),
            "accepted_at": .string(timestamp(record.acceptedAt)),
            "started_at": record.startedAt.map { .string(timestamp($0)) } ?? .null,
            "finished_at": record.finishedAt.map { .string(timestamp($0)) } ?? .null,
            "progress": progress(control, result),
            "result": result,
            "failure": failure,
        ]
    }

    private static func progress(_ control: SwapControl?, _ result: JSONValue) -> JSONValue {
        var progress = control?.progress ?? SwapProgress()
        if let copied = result["copied_bytes"]?.integerValue {
            progress.copiedBytes = copied
            progress.totalBytes = copied
        }
        return [
            "copied_bytes": .integer(progress.copiedBytes),
            "total_bytes": .integer(progress.totalBytes),
            "remaining_bytes": .integer(progress.remainingBytes),
            "rate_bytes_s": progress.rate.map { .integer(Int64($0)) } ?? .null,
            "eta_s": progress.eta.map { .real(($0 * 10).rounded() / 10) } ?? .null,
        ]
    }

    /// RFC 3339 in UTC, milliseconds.
    static func timestamp(_ date: Date) -> String { date.formatted(style) }

    private static let style = Date.ISO8601FormatStyle(includingFractionalSeconds: true)
}
