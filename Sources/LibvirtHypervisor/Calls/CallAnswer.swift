import Basics
import VolumeSwap

/// The answer to a call that nothing can end, for a caller who may give up waiting for it. The first answer counts.
typealias CallAnswer<Value: Sendable> = Waiter<Result<Value, HypervisorError>>

extension Waiter {
    /// Starts the call and waits. To be called once.
    ///
    /// - Parameters:
    ///   - limit: for how long, by the clock.
    ///   - start: makes the call; its answer resumes this.
    /// - Throws: what the call throws; `busy` with one of the two messages when the time is over or the waiting task is cancelled.
    func wait<Success>(
        atMost limit: Duration, _ clock: any SwapClock, else late: String, ifCancelled cancelled: String, _ start: () -> Void = {}
    ) async throws(HypervisorError) -> Success where Value == Result<Success, HypervisorError> {
        let timer = clock.schedule(after: limit) { self.resume(.failure(HypervisorError(.busy, late))) }
        defer { timer.cancel() }
        start()
        return try await value(ifCancelled: .failure(HypervisorError(.busy, cancelled))).get()
    }
}
