import Synchronization

/// The steering wheel of one running swap: requests go in, progress comes out.
package final class SwapControl: Sendable {
    private struct State {
        var phase: SwapPhase
        var progress = SwapProgress()
        var plan: SwapPlan?
        var bandwidth: Int64?
        var wake: (@Sendable () -> Void)?
        var warnings: [String] = []
        var detail: String?
    }

    private let state: Mutex<State>
    private let abort = AbortRequest()
    /// What the run knows of itself.
    let marks = SwapMarks()

    package init(phase: SwapPhase) {
        state = Mutex(State(phase: phase))
    }

    package var phase: SwapPhase { state.withLock { $0.phase } }
    package var progress: SwapProgress { state.withLock { $0.progress } }
    package var plan: SwapPlan? { state.withLock { $0.plan } }
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

    func warn(_ text: String) {
        state.withLock { state in if !state.warnings.contains(text) { state.warnings.append(text) } }
    }

    func update(_ progress: SwapProgress) { state.withLock { $0.progress = progress } }
    func update(_ plan: SwapPlan) { state.withLock { $0.plan = plan } }
    func onWake(_ wake: (@Sendable () -> Void)?) { state.withLock { $0.wake = wake } }
}
