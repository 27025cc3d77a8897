import Basics
import Synchronization

/// Which replayed calls must be over before a question is asked: those whose recorded answers stand before it.
///
/// For one asker. A cancelled one does not wait.
final class ReplayCausality: Sendable {
    private struct State {
        /// Calls under way.
        var inFlight: Set<String> = []
        /// Those among them that were answered by now when they were recorded.
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
    func settle() async { await state.withLock { $0.owed.isEmpty ? nil : $0.askers.add() }?.value(ifCancelled: ()) }
}
