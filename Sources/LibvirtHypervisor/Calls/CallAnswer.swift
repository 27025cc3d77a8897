import Basics
import VolumeSwap

/// The answer to a call that cannot be cancelled, for a caller that may stop waiting for it. The first answer wins.
typealias CallAnswer<Value: Sendable> = Waiter<Result<Value, HypervisorError>>

extension Waiter {
    /// Starts the call and waits. To be called once.
    ///
    /// - Parameters:
    ///   - limit: How long to wait, by the clock.
    ///   - start: Makes the call; its answer resumes this.
    /// - Throws: What the call throws; `busy` with one of the two messages after `limit` or if the waiting task is cancelled.
    func wait<Success>(
        atMost limit: Duration, _ clock: any SwapClock, else late: String, ifCancelled cancelled: String, _ start: () -> Void = {}
    ) async throws(HypervisorError) -> Success where Value == Result<Success, HypervisorError> {
        let timer = clock.schedule(after: limit) { self.resume(.failure(HypervisorError(.busy, late))) }
        defer { timer.cancel() }
        start()
        return try await value(ifCancelled: .failure(HypervisorError(.busy, cancelled))).get()
    }
}
