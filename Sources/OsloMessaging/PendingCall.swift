import JSON
import Synchronization

/// A call on its way: ends once, by the final reply, a deadline, or the end of the client.
final class PendingCall: Sendable {
    private struct State {
        var outcome: Result<JSONValue, any Error>?
        var waiter: CheckedContinuation<JSONValue, any Error>?
        var lastSign = ContinuousClock.now
    }

    private let state = Mutex(State())
    private let timeout: Duration
    private let callMonitorTimeout: Duration?
    private let deadline: ContinuousClock.Instant

    init(timeout: Duration, callMonitorTimeout: Duration?) {
        self.timeout = timeout
        self.callMonitorTimeout = callMonitorTimeout
        deadline = .now + timeout
    }

    func receive(_ reply: RPCReply) {
        switch reply.content {
        case .heartbeat: state.withLock { $0.lastSign = .now }
        case .result(let value): finish(.success(value))
        case .failure(let failure): finish(.failure(failure))
        }
    }

    func fail(_ error: any Error) { finish(.failure(error)) }

    /// Waits for the outcome; for one waiter.
    func value() async throws -> JSONValue {
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let outcome = state.withLock { state in
                    if state.outcome == nil { state.waiter = continuation }
                    return state.outcome
                }
                if let outcome { continuation.resume(with: outcome) }
            }
        } onCancel: {
            finish(.failure(CancellationError()))
        }
    }

    /// Returns by throwing when the call's time is over, or when the server has been silent for too long.
    func expire() async throws {
        while true {
            let monitorDeadline = callMonitorTimeout.map { state.withLock { $0.lastSign } + $0 }
            let next = min(deadline, monitorDeadline ?? deadline)
            if next <= .now {
                throw next == deadline
                    ? RPCClientError.timedOut(seconds: timeout.inSeconds)
                    : RPCClientError.silent(seconds: (callMonitorTimeout ?? timeout).inSeconds)
            }
            try await Task.sleep(until: next, clock: .continuous)
        }
    }

    private func finish(_ outcome: Result<JSONValue, any Error>) {
        let waiter = state.withLock { state -> CheckedContinuation<JSONValue, any Error>? in
            guard state.outcome == nil else { return nil }
            state.outcome = outcome
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume(with: outcome)
    }
}

extension Duration {
    var inSeconds: Double { Double(components.seconds) + Double(components.attoseconds) / 1e18 }
}
