internal import DequeModule
internal import Synchronization

/// One task's wait for a value. The first of value, failure and cancellation resumes it; what comes later is ignored.
package final class Waiter<Value: Sendable>: Sendable {
    private enum State {
        case waiting(CheckedContinuation<Value, Never>?)
        case resumed(Value)
    }

    private let state: Mutex<State>

    /// - Parameter value: given at once, so that nothing is waited for.
    package init(_ value: Value? = nil) { state = Mutex(value.map(State.resumed) ?? .waiting(nil)) }

    package var isResumed: Bool { state.withLock { if case .resumed = $0 { true } else { false } } }

    /// May be called under a lock and before the wait has begun: it runs nothing of the task itself.
    ///
    /// - Returns: false if it was resumed before, with another value.
    @discardableResult
    package func resume(_ value: Value) -> Bool {
        state.withLock { state in
            guard case .waiting(let continuation) = state else { return false }
            state = .resumed(value)
            continuation?.resume(returning: value)
            return true
        }
    }

    /// Waits, whether the task is cancelled or not. To be called once.
    package func value() async -> Value {
        await withCheckedContinuation { continuation in
            state.withLock { state in
                if case .resumed(let value) = state { return continuation.resume(returning: value) }
                state = .waiting(continuation)
            }
        }
    }

    /// Waits until the task is cancelled at most. To be called once.
    ///
    /// - Returns: `cancelled` if the cancellation came first.
    package func value(ifCancelled cancelled: Value) async -> Value {
        await withTaskCancellationHandler {
            await value()
        } onCancel: {
            resume(cancelled)
        }
    }
}

extension Waiter<Void> {
    @discardableResult
    package func resume() -> Bool { resume(()) }
}

/// The tasks that wait for the same, in the order in which they came; guarded by the lock of the state it belongs to.
package struct Waiters<Value: Sendable> {
    private var waiting: Deque<Waiter<Value>> = []
    private var sweepCount = 16

    package init() {}

    package mutating func add() -> Waiter<Value> {
        // The cancelled ones are swept out now and then.
        if waiting.count >= sweepCount {
            waiting.removeAll(where: \.isResumed)
            sweepCount = max(16, 2 * waiting.count)
        }
        let waiter = Waiter<Value>()
        waiting.append(waiter)
        return waiter
    }

    /// - Returns: false when none waits.
    package mutating func resumeFirst(_ value: Value) -> Bool {
        while let first = waiting.popFirst() {
            if first.resume(value) { return true }
        }
        return false
    }

    package mutating func resumeAll(_ value: Value) {
        for waiter in waiting { waiter.resume(value) }
        waiting = []
    }
}
