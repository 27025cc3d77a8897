import Basics
import Synchronization

/// Bounds how many replayed messages await their outcomes. For a single sender, which does not wait if cancelled.
final class ReplayWindow: Sendable {
    private struct State {
        var used = 0
        /// Resumed with whether they took over another's place.
        var senders = Waiters<Bool>()
        var last = Waiters<Void>()
    }

    private let limit: Int
    private let state = Mutex(State())

    init(_ limit: Int) {
        self.limit = max(1, limit)
    }

    /// Waits for room and takes it.
    func enter() async {
        let waiter = state.withLock { state -> Waiter<Bool>? in
            if state.used >= limit { return state.senders.add() }
            state.used += 1
            return nil
        }
        if await waiter?.value(ifCancelled: false) == false { state.withLock { $0.used += 1 } }
    }

    func leave() {
        state.withLock { state in
            if state.senders.resumeFirst(true) { return }
            state.used -= 1
            if state.used == 0 { state.last.resumeAll(()) }
        }
    }

    func waitUntilEmpty() async { await state.withLock { $0.used > 0 ? $0.last.add() : nil }?.value(ifCancelled: ()) }
}
