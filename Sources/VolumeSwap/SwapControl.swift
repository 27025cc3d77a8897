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
        var isAbortRequested = false
        var bandwidth: Int64?
        var wake: (@Sendable () -> Void)?
        var warnings: [String] = []
        var detail: String?
        var hasDefined = false
        var leftBehind: [String] = []
    }

    private let state: Mutex<State>
    private let aborts: AsyncStream<Void>
    private let abort: AsyncStream<Void>.Continuation

    package init(phase: SwapPhase) {
        state = Mutex(State(phase: phase))
        (aborts, abort) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    package var phase: SwapPhase { state.withLock { $0.phase } }
    package var progress: SwapProgress { state.withLock { $0.progress } }
    package var plan: SwapPlan? { state.withLock { $0.plan } }
    /// What the swap is waiting for that it should not have to wait for; nil when all is well.
    package var detail: String? { state.withLock { $0.detail } }
    var warnings: [String] { state.withLock { $0.warnings } }
    var isAbortRequested: Bool { state.withLock { $0.isAbortRequested } }

    /// Asks for the end of the swap. False when it is too late: the pivot has been asked for, or the swap is being rolled back.
    package func requestAbort() -> Bool {
        let (accepted, wake) = state.withLock { state -> (Bool, (@Sendable () -> Void)?) in
            switch state.phase {
            case .accepted, .preparing, .undefining, .starting, .copying, .ready:
                state.isAbortRequested = true
                return (true, state.wake)
            default:
                return (false, nil)
            }
        }
        if accepted { abort.yield() }
        wake?()
        return accepted
    }

    /// Returns when an abort was asked for, or the task is cancelled. One task at a time, and once.
    func untilAborted() async {
        if isAbortRequested { return }
        for await _ in aborts { return }
    }

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

    /// Enters a phase; false when an abort was asked for and the phase would make it too late.
    func enter(_ phase: SwapPhase) -> Bool {
        state.withLock { state in
            if phase == .pivoting, state.isAbortRequested { return false }
            state.phase = phase
            return true
        }
    }

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

    /// True once the definition that pivotd took away is given back: who removes it from then on means it.
    var hasDefined: Bool { state.withLock { $0.hasDefined } }
    func noteDefinition(_ isDefined: Bool) { state.withLock { $0.hasDefined = isDefined } }

    func warn(_ text: String) {
        state.withLock { state in if !state.warnings.contains(text) { state.warnings.append(text) } }
    }

    func update(_ progress: SwapProgress) { state.withLock { $0.progress = progress } }
    func update(_ plan: SwapPlan) { state.withLock { $0.plan = plan } }
    func onWake(_ wake: (@Sendable () -> Void)?) { state.withLock { $0.wake = wake } }
}
