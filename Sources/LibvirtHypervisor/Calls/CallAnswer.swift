import Synchronization
import VolumeSwap

/// The answer to a call that nothing can end, for a caller who may give up waiting for it.
final class CallAnswer<Value: Sendable>: Sendable {
    private enum State {
        case pending(CheckedContinuation<Result<Value, HypervisorError>, Never>?)
        case resolved(Result<Value, HypervisorError>)
    }

    private let clock: any SwapClock
    private let state = Mutex(State.pending(nil))

    init(clock: any SwapClock) {
        self.clock = clock
    }

    /// The first answer counts.
    ///
    /// - Returns: false when there was one already.
    @discardableResult
    func resolve(_ result: Result<Value, HypervisorError>) -> Bool {
        let (isFirst, continuation) = state.withLock {
            state -> (Bool, CheckedContinuation<Result<Value, HypervisorError>, Never>?) in
            guard case .pending(let continuation) = state else { return (false, nil) }
            state = .resolved(result)
            return (true, continuation)
        }
        continuation?.resume(returning: result)
        return isFirst
    }

    /// Starts the call and waits.
    ///
    /// - Throws: what the call throws; `busy` with one of the two messages when the time is over or the waiting task is cancelled.
    func wait(
        atMost limit: Duration, else late: String, ifCancelled cancelled: String, _ start: () -> Void
    ) async throws(HypervisorError) -> Value {
        let timer = clock.schedule(after: limit) { self.resolve(.failure(HypervisorError(.busy, late))) }
        defer { timer.cancel() }
        start()
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { (continuation: CheckedContinuation<Result<Value, HypervisorError>, Never>) in
                let known = state.withLock { state -> Result<Value, HypervisorError>? in
                    if case .resolved(let result) = state { return result }
                    state = .pending(continuation)
                    return nil
                }
                if let known { continuation.resume(returning: known) }
            }
        } onCancel: {
            resolve(.failure(HypervisorError(.busy, cancelled)))
        }
        return try result.get()
    }
}
