import Foundation
import JSON
import Synchronization

/// What a worker is doing, for the status page.
package struct ServiceOverview: Sendable {
    package var isPaused = false
    package var running = 0
    package var queued = 0
    package var held = 0
    package var runningLimit = 0
    /// Bytes/s of all copies together, as in force now; nil for no limit.
    package var bandwidth: Int64?
    /// Swaps under way, in order of arrival.
    package var underWay: [SwapGlance] = []
    /// The first swaps that wait, in order of arrival.
    package var waiting: [SwapGlance] = []
    /// The newest swaps that have ended.
    package var recent: [SwapGlance] = []

    package init() {}
}

extension SwapService {
    /// Maximum number of swaps of each kind that an overview has.
    private static let shownUnderWay = 200
    private static let shownWaiting = 20

    /// What is known in memory; never waits for the journal or the hypervisor.
    package func overview() -> ServiceOverview {
        var overview = ServiceOverview()
        overview.isPaused = isPaused
        (overview.running, overview.queued, overview.held) = (running, queued, held)
        overview.runningLimit = environment.settings.maxConcurrentSwaps
        overview.bandwidth = environment.budget.bandwidth
        overview.recent = recent.all
        let ended = Set(overview.recent.map(\.id))
        let entries = active.withLock { active in
            active.filter { !ended.contains($0.key) && ($0.value.record != nil || $0.value.control.phase != .accepted) }
        }
        let glances = entries.compactMap { glance($0.key, $0.value) }.sorted { $0.acceptedAt < $1.acceptedAt }
        overview.underWay = Array(glances.filter { !$0.isQueued }.prefix(Self.shownUnderWay))
        overview.waiting = Array(glances.filter(\.isQueued).prefix(Self.shownWaiting))
        return overview
    }

    /// Whether there are tasks, and none ends before another request: each is held until `pivot_swap`, or waits for one that is, or
    /// for `resume_queue`, or for a definition that cannot be stored.
    package var isAtRest: Bool {
        let entries = active.withLock { Array($0.values) }
        let unstored = Set(entries.filter { $0.early.failure?.code == .configurationFailed }.compactMap { $0.ticket?.key })
        return !entries.isEmpty
            && entries.allSatisfy { entry in
                entry.control.awaitsPivot || entry.ticket.map { unstored.contains($0.key) || instanceQueue.isStuck($0) } ?? false
            }
    }

    /// Adds the swaps that had ended before this start to those that overviews show. Best effort.
    package func recallRecent() async {
        let ended = Set(SwapPhase.allCases.filter(\.isFinal).map(\.publicState))
        let query = SwapQuery(states: ended, limit: RecentSwaps.limit)
        guard let records = try? await environment.journal.records(query) else { return }
        recent.addOlder(records.map { SwapGlance(SwapStatus($0, control: nil, hypervisor: environment.hypervisor.kind)) })
    }

    /// - Returns: nil for a task that is over, or of which nothing is in memory.
    private func glance(_ id: TaskID, _ entry: Entry) -> SwapGlance? {
        let control = entry.control
        guard !control.phase.isFinal, !entry.isHandedOut, !entry.isConcluded else { return nil }
        var record = entry.record
        if record == nil, let plan = control.plan {
            // Its request is in the journal alone: the queue was long when it came.
            record = SwapRecord(
                id: id, instanceKey: plan.domain.uuid, disk: plan.disk, args: [:], replyTo: nil, acceptedAt: .distantPast)
        }
        guard let record else { return nil }
        return SwapGlance(
            SwapStatus(record, control: control, waitsFor: waitsFor(entry), hypervisor: environment.hypervisor.kind))
    }
}

extension SwapGlance {
    fileprivate var isQueued: Bool { state == SwapPhase.accepted.publicState }
}
