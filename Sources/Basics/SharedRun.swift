internal import Synchronization

/// Work that is done once for all who ask for its value while it is being done.
package final class SharedRun<Value: Sendable>: Sendable {
    private struct State {
        var isRunning = false
        var callers = Waiters<Value>()
    }

    private let state = Mutex(State())

    package init() {}

    /// The value of the run that has begun; begins one if there is none.
    ///
    /// - Parameters:
    ///   - cancelled: returned if the caller's task is cancelled first. The run goes on for the others.
    ///   - work: nothing cancels it, so it must have its own time limit.
    package func value(ifCancelled cancelled: Value, _ work: @escaping @Sendable () async -> Value) async -> Value {
        let (caller, isFirst) = state.withLock { state in
            defer { state.isRunning = true }
            return (state.callers.add(), !state.isRunning)
        }
        if isFirst { Task { end(await work()) } }
        return await caller.value(ifCancelled: cancelled)
    }

    private func end(_ value: Value) {
        state.withLock { state in
            state.callers.resumeAll(value)
            state.isRunning = false
        }
    }
}
