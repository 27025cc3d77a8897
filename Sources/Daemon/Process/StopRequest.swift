import Synchronization

/// Whether the worker is to stop, and what has to be done then.
final class StopRequest: Sendable {
    private struct State {
        var isRequested = false
        var action: @Sendable () -> Void = {}
    }

    private let state = Mutex(State())

    var isRequested: Bool { state.withLock { $0.isRequested } }

    func request() {
        state.withLock { state in
            state.isRequested = true
            return state.action
        }()
    }

    /// What a request does from now on; carried out at once when there has been one.
    func onRequest(_ action: @escaping @Sendable () -> Void) {
        let isRequested = state.withLock { state in
            state.action = action
            return state.isRequested
        }
        if isRequested { action() }
    }
}
