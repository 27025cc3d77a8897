import Synchronization

/// Whether the worker has been asked to stop, and what to do then.
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

    /// Sets what a request does from now on; runs at once if there already was one.
    func onRequest(_ action: @escaping @Sendable () -> Void) {
        let isRequested = state.withLock { state in
            state.action = action
            return state.isRequested
        }
        if isRequested { action() }
    }
}
