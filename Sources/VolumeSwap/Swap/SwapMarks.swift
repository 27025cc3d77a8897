import Synchronization

/// What a run knows of itself: what it has done that may have to be undone, and what a look has shown last.
final class SwapMarks: Sendable {
    private struct Marks {
        var storedPlan: SwapPlan?
        var owesDefinition = false
        var mayBeUndefining = false
        var mayHaveAttached = false
        /// What the last look has shown that has shown anything.
        var seen: DiskSight?
        /// Whether the disk was on the old volume before the first look.
        var isKnownOld = true
        var leftBehind: [String] = []
        var copyBegan: ContinuousClock.Instant?
        var readyAt: ContinuousClock.Instant?
    }

    private let state = Mutex(Marks())

    /// The plan that the journal has.
    var storedPlan: SwapPlan? { state.withLock { $0.storedPlan } }
    func noteStored(_ plan: SwapPlan?) { state.withLock { $0.storedPlan = plan } }
    /// What an earlier try of the swap could not undo.
    var leftBehind: [String] { state.withLock { $0.leftBehind } }
    func leave(_ remainders: [String]) { state.withLock { $0.leftBehind += remainders } }

    /// When the copy was asked for; nil for one that was adopted.
    var copyBegan: ContinuousClock.Instant? { state.withLock { $0.copyBegan } }
    func noteCopy(began: ContinuousClock.Instant) { state.withLock { $0.copyBegan = began } }
    /// When the mirror was in step.
    var readyAt: ContinuousClock.Instant? { state.withLock { $0.readyAt } }
    func noteReady(at time: ContinuousClock.Instant?) { state.withLock { $0.readyAt = time } }

    /// The time that the copy itself took.
    var copyTime: Duration? {
        state.withLock { state in
            guard let began = state.copyBegan, let readyAt = state.readyAt else { return nil }
            return readyAt - began
        }
    }

    /// Whether pivotd has taken the domain's definition away, or may have, and not given it back. Without such a debt a definition that is
    /// missing was removed by somebody else, who means it.
    var owesDefinition: Bool { state.withLock { $0.owesDefinition } }
    func oweDefinition(_ isOwed: Bool) { state.withLock { $0.owesDefinition = isOwed } }

    /// Whether an undefine was given up without an answer.
    var mayBeUndefining: Bool { state.withLock { $0.mayBeUndefining } }
    func noteUndefine(isOut: Bool) { state.withLock { $0.mayBeUndefining = isOut } }

    /// Takes up what an earlier process may have done for the task.
    func takeUp(_ entry: SwapEntry) {
        state.withLock { state in
            switch entry {
            case .fresh: break
            case .again: state.mayHaveAttached = true
            case .resume(let phase, let plan):
                state.owesDefinition =
                    plan.isUndefined && plan.isDefinedAgain != true && phase != .accepted && phase != .preparing
                state.isKnownOld = false
            }
        }
    }

    /// Notes what a look has shown, unless it has shown nothing.
    func note(_ sight: DiskSight) {
        if case .unknown = sight { return }
        state.withLock { $0.seen = sight }
    }

    /// Whether the guest was last seen on the new volume, or about to go there.
    var mayBeOnNew: Bool {
        switch state.withLock({ $0.seen }) {
        case .onNew, .stopped(stored: .new), .pivotedUnnoticed, .ending(pivot: true): true
        default: false
        }
    }

    /// Whether the guest was last seen on the old volume, without a job that could take it away.
    var isSettledOnOld: Bool { state.withLock { $0.seen == .onOld || $0.seen == .forgottenMirror } }

    /// Which volume the guest runs on as far as the last look told, in a roll-back before any pivot of pivotd's.
    var lastInUse: VolumeInUse {
        state.withLock { state in
            switch state.seen {
            case nil: state.isKnownOld ? .old : .unknown
            case .onNew: .new
            case .pivotedUnnoticed, .ending(pivot: true), .unknown: .unknown
            case .elsewhere, .strayCopy, .stopped, .missing: .none
            case .onOld, .onOldUnverified, .forgottenMirror, .copying, .ending, .unnamedCopy, .foreignJob: .old
            }
        }
    }

    /// Whether an earlier process may have attached the new volume; true once, for whoever sees to it.
    func takeAttachment() -> Bool {
        state.withLock { state in
            defer { state.mayHaveAttached = false }
            return state.mayHaveAttached
        }
    }
}
