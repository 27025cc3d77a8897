import Basics
import Synchronization

/// Tracks which replayed calls must finish before a query is sent: those whose recorded answers precede it.
///
/// For a single waiter, which does not wait if cancelled.
final class ReplayCausality: Sendable {
    private struct State {
        /// Calls in progress.
        var inFlight: Set<String> = []
        /// Those among them that had been answered at this point of the recording.
        var owed: Set<String> = []
        var askers = Waiters<Void>()
    }

    private let state = Mutex(State())

    func sent(_ id: String) { state.withLock { _ = $0.inFlight.insert(id) } }

    func recordedReply(_ id: String) {
        state.withLock { state in
            if state.inFlight.contains(id) { state.owed.insert(id) }
        }
    }

    func ended(_ id: String) {
        state.withLock { state in
            state.inFlight.remove(id)
            state.owed.remove(id)
            if state.owed.isEmpty { state.askers.resumeAll(()) }
        }
    }

    /// Waits until no call is owed.
    func untilAnswered() async { await state.withLock { $0.owed.isEmpty ? nil : $0.askers.add() }?.value(ifCancelled: ()) }
}
