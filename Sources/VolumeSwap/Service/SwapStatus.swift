import Foundation
package import JSON
import OrderedCollections

/// A task as `get_swap` and `list_swaps` show it. Secrets are masked.
enum SwapStatus {
    static func json(_ record: SwapRecord, control: SwapControl?, hypervisor: String) -> JSONValue {
        // An outcome may have been told before the roll-back is over.
        let phase = record.isOver ? record.phase : control?.phase ?? record.phase
        var result: JSONValue = .null
        var failure: JSONValue = .null
        switch record.outcome {
        case .success(let value): result = value.redacted()
        case .failure(let value): failure = json(value)
        case nil: break
        }
        let plan = control?.plan ?? record.plan
        let course = failureOf(record)?.course
        let strategy = result["strategy"] ?? (plan?.strategy ?? course?.strategy).map { .string($0.rawValue) } ?? .null
        return [
            "task_id": .string(record.id.text),
            "instance_uuid": result["instance_uuid"] ?? .string(plan?.domain.uuid ?? course?.instanceUUID ?? record.instanceKey),
            "disk": .string(record.disk),
            "old_volume_id": record.args["old_volume_id"] ?? .null,
            "new_volume_id": record.args["new_volume_id"] ?? .null,
            "strategy": strategy,
            "hypervisor": .string(hypervisor),
            "state": .string(phase.publicState),
            "accepted_at": .string(timestamp(record.acceptedAt)),
            "started_at": record.startedAt.map { .string(timestamp($0)) } ?? .null,
            "finished_at": record.finishedAt.map { .string(timestamp($0)) } ?? .null,
            "reason_code": failureOf(record).map { .string($0.code.rawValue) } ?? .null,
            "in_use": inUse(record),
            "detail": control?.detail.map { .string($0) } ?? .null,
            "progress": progress(control, result, course),
            "result": result,
            "failure": failure,
        ]
    }

    private static func failureOf(_ record: SwapRecord) -> SwapFailure? {
        guard case .failure(let failure)? = record.outcome else { return nil }
        return failure
    }

    /// The volume that the VM runs on, once the outcome tells it.
    private static func inUse(_ record: SwapRecord) -> JSONValue {
        switch record.outcome {
        case .success: .string(VolumeInUse.new.rawValue)
        case .failure(let failure): .string((failure.inUse ?? .unknown).rawValue)
        case nil: .null
        }
    }

    /// A failure as ``SwapFailure/init(status:)`` reads it.
    private static func json(_ failure: SwapFailure) -> JSONValue {
        [
            "kind": .string(failure.kind.rawValue), "reason": .string(failure.reason), "code": .string(failure.code.rawValue),
            "in_use": failure.inUse.map { .string($0.rawValue) } ?? .null,
            "left_behind": .array(failure.leftBehind.map { .string($0) }),
        ]
    }

    private static func progress(_ control: SwapControl?, _ result: JSONValue, _ course: SwapCourse?) -> JSONValue {
        var progress = control?.progress ?? SwapProgress()
        if let course, control == nil { (progress.copiedBytes, progress.totalBytes) = (course.copiedBytes, course.totalBytes) }
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

extension SwapFailure {
    /// Reads what a status shows of a failure; nil where there is none.
    package init?(status value: JSONValue?) {
        guard let kind = value?["kind"]?.stringValue.flatMap(Kind.init(rawValue:)), let reason = value?["reason"]?.stringValue
        else {
            return nil
        }
        self.init(
            kind, reason, value?["code"]?.stringValue.flatMap(ReasonCode.init(rawValue:)),
            inUse: value?["in_use"]?.stringValue.flatMap(VolumeInUse.init(rawValue:)),
            leftBehind: value?["left_behind"]?.arrayValue?.compactMap(\.stringValue) ?? [])
    }
}
