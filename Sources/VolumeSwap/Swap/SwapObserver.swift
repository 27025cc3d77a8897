/// Observes swaps for notifications, metrics and logs. Must not block.
package protocol SwapObserver: Sendable {
    /// The preflight has passed.
    func started(_ record: SwapRecord, _ plan: SwapPlan)
    /// The swap entered a phase.
    func entered(_ record: SwapRecord, _ phase: SwapPhase)
    /// A sample of the copy was taken.
    func progressed(_ record: SwapRecord, _ plan: SwapPlan, _ progress: SwapProgress, in state: SwapPhase)
    /// Something is done about a copy that does not converge, or cannot be.
    func converging(_ record: SwapRecord, _ step: ConvergenceStep)
    /// The pivot is being requested.
    ///
    /// - Parameter delay: time since libvirt's READY event arrived.
    func pivoting(_ record: SwapRecord, afterReady delay: Duration)
    /// The swap has its outcome.
    ///
    /// - Parameters:
    ///   - duration: time that this process spent on the swap.
    ///   - overhead: `duration` without the copy itself; nil if there was no copy.
    func ended(_ record: SwapRecord, _ outcome: SwapOutcome, duration: Duration, overhead: Duration?)
}
