import DequeModule
import Synchronization

/// Bounds how many requests are worked on at once, and tells when none is.
final class DispatchLimit: Sendable {
    private struct State {
        var used = 0
        var waiters: Deque<CheckedContinuation<Void, Never>> = []
        var idleWaiters: [CheckedContinuation<Void, Never>] = []
    }

    private let limit: Int
    private let state = Mutex(State())

    init(_ limit: Int) {
        self.limit = max(1, limit)
    }

    /// Waits for a free place and takes it.
    func acquire() async {
        await withCheckedContinuation { continuation in
            let isFree = state.withLock { state in
                guard state.used < limit else {
                    state.waiters.append(continuation)
                    return false
                }
                state.used += 1
                return true
            }
            if isFree { continuation.resume() }
        }
    }

    func release() {
        let resumed = state.withLock { state -> [CheckedContinuation<Void, Never>] in
            if let next = state.waiters.popFirst() { return [next] }
            state.used -= 1
            guard state.used == 0 else { return [] }
            defer { state.idleWaiters = [] }
            return state.idleWaiters
        }
        for continuation in resumed { continuation.resume() }
    }

    /// Waits until no place is taken.
    func waitUntilIdle() async {
        await withCheckedContinuation { continuation in
            let isIdle = state.withLock { state in
                guard state.used > 0 else { return true }
                state.idleWaiters.append(continuation)
                return false
            }
            if isIdle { continuation.resume() }
        }
    }
}
