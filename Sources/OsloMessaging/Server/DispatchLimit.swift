import Basics
import DequeModule
import Synchronization

/// Bounds the number and bytes of requests in progress, and reports when there are none.
final class DispatchLimit: Sendable {
    private struct State {
        let limit: Int
        let byteLimit: Int
        var used = 0
        var bytes = 0
        var waiters: Deque<(bytes: Int, waiter: Waiter<Void>)> = []
        var idleWaiters = Waiters<Void>()

        /// A request larger than the byte limit is processed alone.
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

    /// Waits for a free place and takes it, in order of the calls.
    func acquire(_ bytes: Int = 0) async {
        let waiter = Waiter<Void>()
        state.withLock { state in
            if state.waiters.isEmpty, state.admit(bytes) { return _ = waiter.resume() }
            state.waiters.append((bytes, waiter))
        }
        await waiter.value()
    }

    /// Takes a place if one is free.
    func tryAcquire(_ bytes: Int = 0) -> Bool {
        state.withLock { $0.waiters.isEmpty && $0.admit(bytes) }
    }

    func release(_ bytes: Int = 0) {
        state.withLock { state in
            state.used -= 1
            state.bytes -= bytes
            while let next = state.waiters.first, state.admit(next.bytes) { state.waiters.removeFirst().waiter.resume() }
            if state.used == 0 { state.idleWaiters.resumeAll(()) }
        }
    }

    /// Waits until no place is taken.
    func waitUntilIdle() async {
        await state.withLock { $0.used > 0 ? $0.idleWaiters.add() : nil }?.value()
    }
}

/// A place in a ``DispatchLimit`` that is released at most once.
final class Place: Sendable {
    private let bytes: Int
    private let limit: Mutex<DispatchLimit?>
    private let isReleased = Waiter<Void>()

    /// Waits for a free place.
    init(_ limit: DispatchLimit, bytes: Int) async {
        self.bytes = bytes
        self.limit = Mutex(limit)
        await limit.acquire(bytes)
    }

    /// Nil if there is no free place.
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
        isReleased.resume()
    }

    /// Call once.
    func untilReleased() async { await isReleased.value() }
}
