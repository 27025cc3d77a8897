package import Foundation

/// An unsettled task as a start reads it: in full only if that is needed at once.
package enum UnfinishedTask: Sendable {
    /// It has a plan, or an outcome that was reported before it was over.
    case begun(SwapRecord)
    /// It has only its request.
    case waiting(Waiting)
    /// Only its reply remains to be delivered.
    case over(TaskID, SwapPhase)

    /// What is needed at once of a task that has only its request; the rest is read when its turn comes.
    package struct Waiting: Sendable {
        package let id: TaskID
        package let phase: SwapPhase
        package let instanceKey: String
        package let disk: String
        package let acceptedAt: Date
        package let newVolumeIDs: [String]
        /// Those that want heartbeats.
        package let callers: [ReplyTo]
        package let isAbortRequested: Bool

        package init(
            id: TaskID, phase: SwapPhase, instanceKey: String, disk: String, acceptedAt: Date, newVolumeIDs: [String],
            callers: [ReplyTo], isAbortRequested: Bool
        ) {
            self.id = id
            self.phase = phase
            self.instanceKey = instanceKey
            self.disk = disk
            self.acceptedAt = acceptedAt
            self.newVolumeIDs = newVolumeIDs
            self.callers = callers
            self.isAbortRequested = isAbortRequested
        }
    }

    /// The unfinished form of a record.
    package init(_ record: SwapRecord) {
        if record.isOver {
            self = .over(record.id, record.phase)
        } else if record.plan != nil || record.outcome != nil {
            self = .begun(record)
        } else {
            let callers = record.facts.callers.filter { $0.timeout != nil }
            self = .waiting(
                Waiting(
                    id: record.id, phase: record.phase, instanceKey: record.instanceKey, disk: record.disk,
                    acceptedAt: record.acceptedAt, newVolumeIDs: record.newVolumeIDs, callers: callers,
                    isAbortRequested: record.isAbortRequested))
        }
    }

    package var id: TaskID {
        switch self {
        case .begun(let record): record.id
        case .waiting(let task): task.id
        case .over(let id, _): id
        }
    }

    /// The callers that wait for the outcome and want heartbeats until then.
    package var callers: [ReplyTo] {
        switch self {
        case .begun(let record): record.outcome == nil ? record.facts.callers : []
        case .waiting(let task): task.callers
        case .over: []
        }
    }
}
