import Basics
import DequeModule
import Synchronization

/// Lets replies be published concurrently, or a single one alone: if the broker then closes the connection, that one is to blame.
final class SendingGate: Sendable {
    private struct State {
        var sending = 0
        var isAlone = false
        /// In order of arrival.
        var waiters: Deque<(alone: Bool, waiter: Waiter<Void>)> = []

        /// Admits the waiter at the front, if possible.
        mutating func admit(alone: Bool) -> Bool {
            guard !isAlone, !alone || sending == 0 else { return false }
            sending += 1
            isAlone = alone
            return true
        }
    }

    private let state = Mutex(State())

    /// Waits until a reply may be published; call ``leave()`` afterwards.
    ///
    /// - Parameter alone: Waits for all others to leave, and keeps further ones out.
    func enter(alone: Bool) async {
        let waiter = Waiter<Void>()
        state.withLock { state in
            if state.waiters.isEmpty, state.admit(alone: alone) { return _ = waiter.resume() }
            state.waiters.append((alone, waiter))
        }
        await waiter.value()
    }

    func leave() {
        state.withLock { state in
            state.sending -= 1
            state.isAlone = false
            while let first = state.waiters.first, state.admit(alone: first.alone) { state.waiters.removeFirst().waiter.resume() }
        }
    }
}
