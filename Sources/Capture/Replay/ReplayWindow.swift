import Synchronization

/// Bounds how many replayed messages wait for their outcomes; for one sender. A cancelled sender does not wait.
final class ReplayWindow: Sendable {
    private struct State {
        var used = 0
        var sender: CheckedContinuation<Void, Never>?
        var last: CheckedContinuation<Void, Never>?
        var isAbandoned = false
    }

    private let limit: Int
    private let state = Mutex(State())

    init(_ limit: Int) {
        self.limit = max(1, limit)
    }

    /// Waits for room and takes it.
    func enter() async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let hasRoom = state.withLock { state in
                    guard state.used < limit || state.isAbandoned else {
                        state.sender = continuation
                        return false
                    }
                    state.used += 1
                    return true
                }
                if hasRoom { continuation.resume() }
            }
        } onCancel: {
            abandon()
        }
    }

    func leave() {
        let waiter = state.withLock { state -> CheckedContinuation<Void, Never>? in
            if let sender = state.sender {
                state.sender = nil
                return sender
            }
            state.used -= 1
            guard state.used == 0 else { return nil }
            defer { state.last = nil }
            return state.last
        }
        waiter?.resume()
    }

    func waitUntilEmpty() async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isEmpty = state.withLock { state in
                    guard state.used > 0, !state.isAbandoned else { return true }
                    state.last = continuation
                    return false
                }
                if isEmpty { continuation.resume() }
            }
        } onCancel: {
            abandon()
        }
    }

    private func abandon() {
        let waiters = state.withLock { state in
            state.isAbandoned = true
            defer { (state.sender, state.last) = (nil, nil) }
            if state.sender != nil { state.used += 1 }
            return [state.sender, state.last]
        }
        for waiter in waiters { waiter?.resume() }
    }
}
