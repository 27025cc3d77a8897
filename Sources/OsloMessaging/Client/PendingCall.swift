import Basics
import JSON
import Synchronization

/// A call in progress: ends once, with the final reply, a deadline, or the end of the client.
final class PendingCall: Sendable {
    private let outcome = Waiter<Result<JSONValue, any Error>>()
    private let lastSign = Mutex(ContinuousClock.now)
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
        case .heartbeat: lastSign.withLock { $0 = .now }
        case .result(let value): outcome.resume(.success(value))
        case .failure(let failure): outcome.resume(.failure(failure))
        }
    }

    func fail(_ error: any Error) { outcome.resume(.failure(error)) }

    /// Waits for the outcome; for a single waiter.
    ///
    /// - Throws: `RemoteFailure`, ``RPCClientError`` or `CancellationError`.
    func value() async throws -> JSONValue {
        try await outcome.value(ifCancelled: .failure(CancellationError())).get()
    }

    /// Never returns normally.
    ///
    /// - Throws: ``RPCClientError`` when the call's time is up or the server has been silent for too long; `CancellationError`.
    func expire() async throws {
        while true {
            let monitorDeadline = callMonitorTimeout.map { lastSign.withLock(\.self) + $0 }
            let next = min(deadline, monitorDeadline ?? deadline)
            if next <= .now {
                throw next == deadline
                    ? RPCClientError.timedOut(seconds: timeout.inSeconds)
                    : RPCClientError.silent(seconds: (callMonitorTimeout ?? timeout).inSeconds)
            }
            try await Task.sleep(until: next, clock: .continuous)
        }
    }
}

extension Duration {
    var inSeconds: Double { Double(components.seconds) + Double(components.attoseconds) / 1e18 }
}
