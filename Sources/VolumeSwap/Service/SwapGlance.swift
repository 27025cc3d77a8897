package import Foundation
import JSON
import Synchronization

/// What the status page shows of a task. By its type it has nothing of the request's connection_info.
package struct SwapGlance: Sendable, Hashable {
    package var id: TaskID
    /// The instance's UUID, or its name until it has been looked up.
    package var instance: String
    package var disk: String
    package var oldVolumeID: String?
    package var newVolumeID: String?
    /// ``SwapPhase/publicState``
    package var state: String
    package var acceptedAt: Date
    package var startedAt: Date?
    package var finishedAt: Date?
    package var progress: SwapProgress
    /// What a queued task waits for.
    package var waitsFor: String?
    /// What delays a running one.
    package var detail: String?
    /// Why it failed; never a secret.
    package var failure: String?
    package var inUse: VolumeInUse?

    init(_ status: SwapStatus) {
        let facts = status.record.facts
        id = facts.id
        instance = status.instance
        disk = facts.disk
        oldVolumeID = facts.args["old_volume_id"]?.stringValue
        newVolumeID = facts.args["new_volume_id"]?.stringValue
        state = status.phase.publicState
        (acceptedAt, startedAt, finishedAt) = (facts.acceptedAt, facts.startedAt, facts.finishedAt)
        progress = status.progress
        waitsFor = status.waitsFor
        detail = status.detail
        failure = status.failure?.reason
        inUse = status.inUse
    }

    /// A task of which nothing else is known.
    package init(id: TaskID, instance: String, disk: String, state: String, acceptedAt: Date) {
        self.id = id
        self.instance = instance
        self.disk = disk
        self.state = state
        self.acceptedAt = acceptedAt
        progress = SwapProgress()
    }

    package var isFinal: Bool { finishedAt != nil }
}

/// The newest swaps that have ended.
final class RecentSwaps: Sendable {
    static let limit = 20

    private let swaps = Mutex<[SwapGlance]>([])

    /// Newest first.
    var all: [SwapGlance] { swaps.withLock { $0 } }

    func add(_ swap: SwapGlance) {
        swaps.withLock { swaps in
            swaps.insert(swap, at: 0)
            if swaps.count > Self.limit { swaps.removeLast() }
        }
    }

    /// Adds those from before a restart, newest first.
    func addOlder(_ older: [SwapGlance]) {
        swaps.withLock { swaps in
            let known = Set(swaps.map(\.id))
            swaps = Array((swaps + older.filter { !known.contains($0.id) }).prefix(Self.limit))
        }
    }
}
