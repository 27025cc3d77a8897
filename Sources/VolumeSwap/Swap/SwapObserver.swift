/// Hears of a swap's course: notifications, metrics, logs. Must not block.
package protocol SwapObserver: Sendable {
    func started(_ record: SwapRecord, _ plan: SwapPlan)
    func entered(_ record: SwapRecord, _ phase: SwapPhase)
    func progressed(_ record: SwapRecord, _ plan: SwapPlan, _ progress: SwapProgress)
    /// From the arrival of libvirt's READY event to the call of the pivot.
    func pivoting(_ record: SwapRecord, afterReady delay: Duration)
    /// - Parameter overhead: the swap's time without the copy itself; nil when there was no copy.
    func ended(_ record: SwapRecord, _ outcome: SwapOutcome, duration: Duration, overhead: Duration?)
}
