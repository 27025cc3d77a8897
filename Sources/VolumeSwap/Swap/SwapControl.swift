import Synchronization

/// What `get_swap` shows of a running copy.
package struct SwapProgress: Sendable, Hashable, Codable {
    package var copiedBytes: Int64 = 0
    package var totalBytes: Int64 = 0
    /// Bytes a second, smoothed over the last samples; nil before the second one.
    package var rate: Double?

    package init() {}

    package var remainingBytes: Int64 { max(0, totalBytes - copiedBytes) }
    /// Seconds, nil while the rate is unknown or zero.
    package var eta: Double? {
        guard let rate, rate > 0 else { return nil }
        return Double(remainingBytes) / rate
    }
}

/// The steering wheel of one running swap: requests go in, progress comes out.
package final class SwapControl: Sendable {
    private struct State {
        var phase: SwapPhase
        var progress = SwapProgress()
        var plan: SwapPlan?
        var storedPlan: SwapPlan?
        var bandwidth: Int64?
        var wake: (@Sendable () -> Void)?
        var warnings: [String] = []
        var detail: String?
        var owesDefinition = false
        var mayBeUndefining = false
        var mayHaveAttached = false
        /// What the last look has shown that has shown anything.
        var seen: DiskSight?
        /// Whether the disk was on the old volume before the first look.
        var isKnownOld = true
        var leftBehind: [String] = []
    }

    private let state: Mutex<State>
    private let abort = AbortRequest()

    package init(phase: SwapPhase) {
        state = Mutex(State(phase: phase))
    }

    package var phase: SwapPhase { state.withLock { $0.phase } }
    package var progress: SwapProgress { state.withLock { $0.progress } }
    package var plan: SwapPlan? { state.withLock { $0.plan } }
    /// The plan that the journal has.
    var storedPlan: SwapPlan? { state.withLock { $0.storedPlan } }
    func noteStored(_ plan: SwapPlan?) { state.withLock { $0.storedPlan = plan } }
    /// What the swap is waiting for that it should not have to wait for; nil when all is well.
    package var detail: String? { state.withLock { $0.detail } }
    var warnings: [String] { state.withLock { $0.warnings } }
    var isAbortRequested: Bool { abort.isMade }

    /// Asks for the end of the swap. False when it is too late: the pivot has been asked for, or the swap is being rolled back.
    package func requestAbort() -> Bool {
        let (accepted, wake) = state.withLock { state -> (Bool, (@Sendable () -> Void)?) in
            switch state.phase {
            case .accepted, .preparing, .undefining, .starting, .copying, .ready:
                abort.make()
                return (true, state.wake)
            default:
                return (false, nil)
            }
        }
        wake?()
        return accepted
    }

    /// Returns when an abort was asked for, or the waiting task is cancelled.
    func untilAborted() async { await abort.wait() }

    /// MiB/s for the running copy, 0 is unlimited.
    package func requestBandwidth(_ mibS: Int64) {
        let wake = state.withLock { state in
            state.bandwidth = mibS
            return state.wake
        }
        wake?()
    }

    func takeBandwidth() -> Int64? {
        state.withLock { state in
            defer { state.bandwidth = nil }
            return state.bandwidth
        }
    }

    func enter(_ phase: SwapPhase) { state.withLock { $0.phase = phase } }

    /// Enters the phase from which there is no way back; false when an abort was asked for.
    func enterPivot() -> Bool {
        state.withLock { state in
            if abort.isMade { return false }
            state.phase = .pivoting
            return true
        }
    }

    /// Of a task that is not to be carried out any more.
    func refuse() { abort.make() }

    /// - Returns: true when it is news.
    func note(_ detail: String?) -> Bool {
        state.withLock { state in
            defer { state.detail = detail }
            return state.detail != detail
        }
    }

    /// What an earlier try of the swap could not undo.
    var leftBehind: [String] { state.withLock { $0.leftBehind } }
    func leave(_ remainders: [String]) { state.withLock { $0.leftBehind += remainders } }

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

    func warn(_ text: String) {
        state.withLock { state in if !state.warnings.contains(text) { state.warnings.append(text) } }
    }

    func update(_ progress: SwapProgress) { state.withLock { $0.progress = progress } }
    func update(_ plan: SwapPlan) { state.withLock { $0.plan = plan } }
    func onWake(_ wake: (@Sendable () -> Void)?) { state.withLock { $0.wake = wake } }
}
