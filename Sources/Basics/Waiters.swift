internal import DequeModule
internal import Synchronization

/// One task's wait for a value. The first of value, failure and cancellation resumes it; later ones are ignored.
package final class Waiter<Value: Sendable>: Sendable {
    private enum State {
        case waiting(CheckedContinuation<Value, Never>?)
        case resumed(Value)
    }

    private let state: Mutex<State>

    /// - Parameter value: resumes it from the start.
    package init(_ value: Value? = nil) { state = Mutex(value.map(State.resumed) ?? .waiting(nil)) }

    /// Whether it has a value, or was cancelled.
    package var isResumed: Bool { state.withLock { if case .resumed = $0 { true } else { false } } }

    /// Ends the wait, also before it begins. May be called under a lock that no cancellation handler takes.
    ///
    /// - Returns: false if it had been resumed already.
    @discardableResult
    package func resume(_ value: Value) -> Bool {
        // Not under the lock: a cancellation runs its handler under the task's own lock, which the resumption takes, too.
        let (isFirst, continuation) = state.withLock { state -> (Bool, CheckedContinuation<Value, Never>?) in
            guard case .waiting(let continuation) = state else { return (false, nil) }
            state = .resumed(value)
            return (true, continuation)
        }
        continuation?.resume(returning: value)
        return isFirst
    }

    /// Waits for the value, ignoring cancellation. Call once.
    package func value() async -> Value {
        await withCheckedContinuation { continuation in
            let value = state.withLock { state -> Value? in
                if case .resumed(let value) = state { return value }
                state = .waiting(continuation)
                return nil
            }
            if let value { continuation.resume(returning: value) }
        }
    }

    /// Waits for the value or the task's cancellation. Call once.
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
    /// Ends the wait.
    @discardableResult
    package func resume() -> Bool { resume(()) }
}

/// Tasks waiting for the same thing, in order of arrival. Guarded by the lock of the state it belongs to.
package struct Waiters<Value: Sendable> {
    private var waiting: Deque<Waiter<Value>> = []
    private var sweepCount = 16

    package init() {}

    /// Adds a waiter at the end; await its value outside the lock.
    package mutating func add() -> Waiter<Value> {
        // Cancelled waiters are swept now and then.
        if waiting.count >= sweepCount {
            waiting.removeAll(where: \.isResumed)
            sweepCount = max(16, 2 * waiting.count)
        }
        let waiter = Waiter<Value>()
        waiting.append(waiter)
        return waiter
    }

    /// Resumes the first waiter that is not cancelled.
    ///
    /// - Returns: false if there is none.
    package mutating func resumeFirst(_ value: Value) -> Bool {
        while let first = waiting.popFirst() {
            if first.resume(value) { return true }
        }
        return false
    }

    /// Resumes and removes all.
    package mutating func resumeAll(_ value: Value) {
        for waiter in waiting { waiter.resume(value) }
        waiting = []
    }
}
