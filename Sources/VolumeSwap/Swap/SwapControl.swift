import Basics
import Synchronization

/// The controls of one running swap: requests go in, progress comes out.
package final class SwapControl: Sendable {
    private struct State {
        var phase: SwapPhase
        var progress = SwapProgress()
        var plan: SwapPlan?
        /// The limit that was requested since, in bytes/s, instead of the request's own.
        var limit: Int64?
        /// The speed to set next, in bytes/s; 0 for unlimited.
        var speed: Int64?
        var waitsFor: String?
        var hold = Hold.none
        /// What it is to pivot with, and what it has entered its pivot with.
        var group: PivotGroup?
        var enteredGroup: PivotGroup?
        /// Callers of `pivot_swap`.
        var pivotWaiters = Waiters<Void>()
        /// Whether a phase from the pivot on, or a roll-back, has been stored.
        var isPastHolding = false
        var wake: (@Sendable () -> Void)?
        var warnings: [String] = []
        var detail: String?
        var refusal: SwapFailure?
    }

    /// Where a swap with the option `hold` stands.
    private enum Hold {
        case none
        /// In step, without its instance's turn.
        case held
        case released
    }

    private let state: Mutex<State>
    private let abort = AbortRequest()
    /// The run's own bookkeeping.
    let marks = SwapMarks()

    /// - Parameter phase: the phase in the journal.
    package init(phase: SwapPhase) {
        state = Mutex(State(phase: phase))
    }

    /// The phase that the swap is in; the journal may lag behind.
    package var phase: SwapPhase { state.withLock { $0.phase } }
    /// The copy's progress.
    package var progress: SwapProgress { state.withLock { $0.progress } }
    /// The plan; nil before the preflight.
    package var plan: SwapPlan? { state.withLock { $0.plan } }
    /// What delays the swap, for an operator; nil if nothing does.
    package var detail: String? { state.withLock { $0.detail } }
    var warnings: [String] { state.withLock { $0.warnings } }
    var isAbortRequested: Bool { abort.isMade }

    /// Requests an abort.
    ///
    /// - Returns: false if it is too late: the pivot has been requested, or the swap is being rolled back.
    package func requestAbort() -> Bool {
        let (accepted, wake) = state.withLock { state -> (Bool, (@Sendable () -> Void)?) in
            // Until the pivot.
            guard state.phase.isBeforePivot else { return (false, nil) }
            abort.make()
            return (true, state.wake)
        }
        wake?()
        return accepted
    }

    /// Returns when an abort is requested or the waiting task is cancelled.
    func untilAborted() async { await abort.wait() }

    /// The copy's own limit in bytes/s, 0 for unlimited, if one was requested since the swap was.
    var limit: Int64? {
        get { state.withLock { $0.limit } }
        set { state.withLock { $0.limit = newValue } }
    }

    /// Has the running copy's speed set, in bytes/s, 0 for unlimited.
    func requestSpeed(_ bytesPerSecond: Int64) {
        let wake = state.withLock { state in
            state.speed = bytesPerSecond
            return state.wake
        }
        wake?()
    }

    /// Sets a speed again that could not be set, unless a newer one was requested.
    func retrySpeed(_ bytesPerSecond: Int64) { state.withLock { $0.speed = $0.speed ?? bytesPerSecond } }

    func takeSpeed() -> Int64? {
        state.withLock { state in
            defer { state.speed = nil }
            return state.speed
        }
    }

    /// What keeps a swap from beginning whose turn has come; nil if nothing does.
    package internal(set) var waitsFor: String? {
        get { state.withLock { $0.waitsFor } }
        set { state.withLock { $0.waitsFor = newValue } }
    }

    func enter(_ phase: SwapPhase) {
        state.withLock { $0.phase = phase }
    }

    // MARK: Holding

    /// Whether it has given up its instance's turn, in step.
    var isHeld: Bool { state.withLock { $0.hold != .none } }
    var isReleased: Bool { state.withLock { $0.hold == .released } }

    /// Whether it stays as it is until `pivot_swap` or `abort_swap`.
    var awaitsPivot: Bool {
        state.withLock { $0.hold == .held && $0.group == nil && $0.phase == .ready && !abort.isMade }
    }

    /// Holds the swap, unless it has been released.
    ///
    /// - Returns: true if it was not held before.
    func hold() -> Bool {
        state.withLock { state in
            defer { if state.hold == .none { state.hold = .held } }
            return state.hold == .none
        }
    }

    /// Lets a held swap pivot.
    ///
    /// - Returns: false if it is not held.
    func release() -> Bool {
        let (isHeld, wake) = state.withLock { state -> (Bool, (@Sendable () -> Void)?) in
            guard state.hold != .none, state.group == nil, state.phase.isBeforePivot else { return (false, nil) }
            state.hold = .released
            return (true, state.wake)
        }
        wake?()
        return isHeld
    }

    /// What a held swap is to pivot with; nil if it pivots alone.
    var group: PivotGroup? { state.withLock { $0.group } }
    /// What it has entered its pivot with.
    var enteredGroup: PivotGroup? { state.withLock { $0.enteredGroup } }
    /// Whether the pivot that it has entered is not asked for any more: its group has stood down.
    var isHeldBack: Bool { state.withLock { $0.hold == .held && ($0.group == nil || $0.group !== $0.enteredGroup) } }

    /// Lets a held swap pivot together with others.
    ///
    /// - Returns: false if it is not held, or pivots otherwise.
    func join(_ group: PivotGroup) -> Bool {
        state.withLock { state in
            guard state.hold == .held, state.group == nil, state.phase == .ready, !abort.isMade else { return false }
            state.group = group
            return true
        }
    }

    /// Holds a swap again whose group does not pivot.
    func standDown(from group: PivotGroup) {
        state.withLock { state in
            guard state.group === group else { return }
            state.group = nil
            guard state.hold == .held, state.phase == .ready || state.phase == .pivoting else { return }
            state.phase = .ready
            state.isPastHolding = false
        }
    }

    /// Has the copy inspected.
    func recheck() { state.withLock { $0.wake }?() }

    /// Ends the hold of a swap that starts over.
    func startOver() { state.withLock { $0.hold = .none } }

    /// Called when the phase has been stored: what `pivot_swap` answers must outlive a crash.
    func noteStored(_ phase: SwapPhase) {
        guard !phase.isBeforePivot else { return }
        state.withLock { state in
            // Its group may have stood down meanwhile.
            guard !state.phase.isBeforePivot else { return }
            state.isPastHolding = true
            state.pivotWaiters.resumeAll(())
        }
    }

    /// Waits until the pivot of a released swap, or its failure, has been stored, or for cancellation.
    func untilPivoting() async {
        let waiter = state.withLock { state in state.isPastHolding ? Waiter(()) : state.pivotWaiters.add() }
        await waiter.value(ifCancelled: ())
    }

    /// Enters the pivot, the point of no return; false if an abort was requested.
    func enterPivot() -> Bool {
        state.withLock { state in
            if abort.isMade { return false }
            state.phase = .pivoting
            state.enteredGroup = state.group
            return true
        }
    }

    /// Marks a task that must not be carried out any more.
    ///
    /// - Parameter failure: why, which its caller has been told.
    func refuse(_ failure: SwapFailure) {
        state.withLock { $0.refusal = failure }
        abort.make()
    }

    /// Why a swap ends of which an abort is requested.
    var reasonToStop: SwapFailure { state.withLock { $0.refusal } ?? .abortedByRequest }

    /// - Returns: true if the detail has changed.
    func note(_ detail: String?) -> Bool {
        state.withLock { state in
            defer { state.detail = detail }
            return state.detail != detail
        }
    }

    func warn(_ text: String) {
        state.withLock { state in if !state.warnings.contains(text) { state.warnings.append(text) } }
    }

    func update(_ progress: SwapProgress) { state.withLock { $0.progress = progress } }
    func update(_ plan: SwapPlan) { state.withLock { $0.plan = plan } }
    func onWake(_ wake: (@Sendable () -> Void)?) { state.withLock { $0.wake = wake } }
}

extension SwapPhase {
    /// Whether the pivot is still to come: the swap can be aborted, and held.
    fileprivate var isBeforePivot: Bool {
        switch self {
        case .accepted, .preparing, .undefining, .starting, .copying, .ready: true
        case .pivoting, .finishing, .storing, .rollingBack, .completed, .failed, .aborted: false
        }
    }
}
