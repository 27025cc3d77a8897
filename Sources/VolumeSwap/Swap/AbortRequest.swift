import Basics
import Synchronization

/// A request to abort a swap: made at most once, and seen by everyone who waits for it, then or later.
final class AbortRequest: Sendable {
    private struct State {
        var isMade = false
        var waiters = Waiters<Void>()
    }

    private let state = Mutex(State())

    var isMade: Bool { state.withLock { $0.isMade } }

    func make() {
        state.withLock { state in
            state.isMade = true
            state.waiters.resumeAll(())
        }
    }

    /// Returns when the request is made or the waiting task is cancelled.
    func wait() async {
        let waiter = state.withLock { state in state.isMade ? Waiter(()) : state.waiters.add() }
        await waiter.value(ifCancelled: ())
    }
}
