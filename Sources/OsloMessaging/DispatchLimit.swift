import DequeModule
import Synchronization

/// Bounds how many requests, and how many bytes of them, are worked on at once, and reports when none is.
final class DispatchLimit: Sendable {
    private struct State {
        let limit: Int
        let byteLimit: Int
        var used = 0
        var bytes = 0
        var waiters: Deque<(bytes: Int, continuation: CheckedContinuation<Void, Never>)> = []
        var idleWaiters: [CheckedContinuation<Void, Never>] = []

        /// A request larger than all there may be is worked on alone.
        mutating func admit(_ size: Int) -> Bool {
            guard used < limit, used == 0 || bytes + size <= byteLimit else { return false }
            used += 1
            bytes += size
            return true
        }
    }

    private let state: Mutex<State>

    init(_ limit: Int, bytes: Int = .max) {
        state = Mutex(State(limit: max(1, limit), byteLimit: bytes))
    }

    /// Waits for a free place and takes it, in the order of the calls.
    func acquire(_ bytes: Int = 0) async {
        await withCheckedContinuation { continuation in
            let isFree = state.withLock { state in
                if state.waiters.isEmpty, state.admit(bytes) { return true }
                state.waiters.append((bytes, continuation))
                return false
            }
            if isFree { continuation.resume() }
        }
    }

    /// Takes a place if one is free.
    func tryAcquire(_ bytes: Int = 0) -> Bool {
        state.withLock { $0.waiters.isEmpty && $0.admit(bytes) }
    }

    func release(_ bytes: Int = 0) {
        let resumed = state.withLock { state in
            state.used -= 1
            state.bytes -= bytes
            var resumed: [CheckedContinuation<Void, Never>] = []
            while let next = state.waiters.first, state.admit(next.bytes) {
                state.waiters.removeFirst()
                resumed.append(next.continuation)
            }
            if state.used == 0 {
                resumed += state.idleWaiters
                state.idleWaiters = []
            }
            return resumed
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

/// A place in a ``DispatchLimit`` that is given back once.
final class Place: Sendable {
    private let bytes: Int
    private let limit: Mutex<DispatchLimit?>

    /// Waits for a free place.
    init(_ limit: DispatchLimit, bytes: Int) async {
        self.bytes = bytes
        self.limit = Mutex(limit)
        await limit.acquire(bytes)
    }

    /// Nil when there is no free place.
    init?(ifFree limit: DispatchLimit, bytes: Int) {
        guard limit.tryAcquire(bytes) else { return nil }
        self.bytes = bytes
        self.limit = Mutex(limit)
    }

    func release() {
        limit.withLock { limit in
            defer { limit = nil }
            return limit
        }?.release(bytes)
    }
}
