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
        var asker: CheckedContinuation<Void, Never>?
        var isAbandoned = false
    }

    private let state = Mutex(State())

    func sent(_ id: String) { state.withLock { _ = $0.inFlight.insert(id) } }

    func recordedReply(_ id: String) {
        state.withLock { state in
            if state.inFlight.contains(id) { state.owed.insert(id) }
        }
    }

    func ended(_ id: String) {
        let asker = state.withLock { state -> CheckedContinuation<Void, Never>? in
            state.inFlight.remove(id)
            state.owed.remove(id)
            guard state.owed.isEmpty else { return nil }
            defer { state.asker = nil }
            return state.asker
        }
        asker?.resume()
    }

    /// Waits until no call is owed.
    func settle() async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isSettled = state.withLock { state in
                    guard !state.owed.isEmpty, !state.isAbandoned else { return true }
                    state.asker = continuation
                    return false
                }
                if isSettled { continuation.resume() }
            }
        } onCancel: {
            state.withLock { state -> CheckedContinuation<Void, Never>? in
                state.isAbandoned = true
                defer { state.asker = nil }
                return state.asker
            }?.resume()
        }
    }
}
