package import Foundation
package import JSON

/// A line of the plan and how far it has got.
package struct MoveEntry: Sendable {
    /// How far a line has got.
    package enum State: Sendable, Hashable {
        /// Its attempt is still to be sent, or again if its worker does not know it, but not before this time.
        case pending(notBefore: Date?)
        /// Its attempt was sent; nil until the worker has reported it.
        case running(MoveStatus?)
        /// Its last attempt has ended.
        case ended(MoveStatus)
        /// It is not sent, because it would be refused.
        case refused(MoveRefusal)
        /// Its host gives no answer.
        case unreachable
    }

    package let line: MoveLine
    package internal(set) var state: State
    /// The attempt that is pending, running or the last one, from 1.
    package internal(set) var attempt: Int
    /// How often it may still be retried.
    var retriesLeft: Int
    /// What the attempt before has ended with.
    package internal(set) var previous: MoveStatus?
    /// Whether the present attempt was sent.
    package internal(set) var isSent: Bool
    /// Since when its failure is known while the worker still rolls it back.
    var rollingBackSince: Date?

    /// The state as reports and tables name it.
    package var stateName: String {
        switch state {
        case .pending: "pending"
        case .running(let status): status?.state ?? "sent"
        case .ended(let status): status.state
        case .refused: "refused"
        case .unreachable: "unreachable"
        }
    }

    package var isRunning: Bool { if case .running = state { true } else { false } }
    package var isPending: Bool { if case .pending = state { true } else { false } }
    /// Whether the disk has moved.
    package var isSuccess: Bool { if case .ended(let status) = state { status.isSuccess } else { false } }

    /// The task of the last attempt that was sent; nil before the first.
    package var taskID: String? {
        if isSent { return line.taskID(attempt: attempt) }
        return attempt > 1 ? line.taskID(attempt: attempt - 1) : nil
    }

    /// What is known of the last attempt that a worker knows.
    private var status: MoveStatus? {
        switch state {
        case .running(let status): status ?? previous
        case .ended(let status): status
        case .pending, .refused, .unreachable: previous
        }
    }

    /// The report's line.
    package var report: JSONObject {
        var (reasonCode, inUse) = (status?.reasonCode, status?.inUse)
        if case .refused(let refusal) = state { (reasonCode, inUse) = (refusal.reasonCode, refusal.inUse) }
        func json(_ text: String?) -> JSONValue { text.map { .string($0) } ?? .null }
        return [
            "line": .integer(Int64(line.number)), "host": .string(line.host), "task_id": json(taskID),
            "state": .string(stateName), "reason_code": json(reasonCode), "in_use": json(inUse), "may_delete": json(mayDelete),
        ]
    }

    /// The id of the volume that is of no more use: the old one after a success, the new one after a failure that is over and left nothing
    /// behind. Nil wherever somebody else may use it, and after a dry run.
    package var mayDelete: String? {
        guard case .ended(let status) = state, !status.isDryRun, line.oldVolumeID != line.newVolumeID else { return nil }
        if status.isSuccess { return line.isOldVolumeShared ? nil : line.oldVolumeID }
        let isInDoubt = ["new_volume_in_use", "configuration_failed"].contains(status.reasonCode)
        guard status.inUse == "old", !status.leavesSomethingBehind, !isInDoubt else { return nil }
        return line.newVolumeID
    }
}
