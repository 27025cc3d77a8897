package import Foundation

/// An unsettled task as a start reads it: in full only if that is needed at once.
package enum UnfinishedTask: Sendable {
    /// It has a plan, or an outcome that was reported before it was over.
    case begun(SwapRecord)
    /// It has only its request, of which more than the new volume's ids is read when its turn comes; the callers are those that
    /// want heartbeats.
    case waiting(
        TaskID, SwapPhase, instanceKey: String, disk: String, acceptedAt: Date, newVolumeIDs: [String], callers: [ReplyTo],
        isAbortRequested: Bool)
    /// Only its reply remains to be delivered.
    case over(TaskID, SwapPhase)

    /// The unfinished form of a record.
    package init(_ record: SwapRecord) {
        if record.isOver {
            self = .over(record.id, record.phase)
        } else if record.plan != nil || record.outcome != nil {
            self = .begun(record)
        } else {
            let callers = record.facts.callers.filter { $0.timeout != nil }
            self = .waiting(
                record.id, record.phase, instanceKey: record.instanceKey, disk: record.disk, acceptedAt: record.acceptedAt,
                newVolumeIDs: record.newVolumeIDs, callers: callers, isAbortRequested: record.isAbortRequested)
        }
    }

    package var id: TaskID {
        switch self {
        case .begun(let record): record.id
        case .waiting(let id, _, _, _, _, _, _, _), .over(let id, _): id
        }
    }

    /// The callers that wait for the outcome and want heartbeats until then.
    package var callers: [ReplyTo] {
        switch self {
        case .begun(let record): record.outcome == nil ? record.facts.callers : []
        case .waiting(_, _, _, _, _, _, let callers, _): callers
        case .over: []
        }
    }
}
