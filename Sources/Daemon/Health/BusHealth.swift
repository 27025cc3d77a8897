import AMQP
import Observability
import OsloMessaging
import Synchronization

/// Why the worker cannot use its bus, for an operator.
final class BusHealth: Sendable {
    /// What is known about one connection.
    struct Connection: Sendable {
        var isConnected: Bool
        /// Why the last attempt failed, or the last connection ended.
        var failure: AMQPError?
    }

    /// Everything that the verdict depends on.
    struct Sight: Sendable {
        var consuming: Connection
        var publishing: Connection
        var isConsuming: Bool
        var blockedReason: String?
        var serving: RPCServer.State
        var oldestUnconfirmed: Duration
        /// Queues that cannot be reached, with the reason, while others are consumed from.
        var unavailableQueues: [String] = []
    }

    /// Above this the broker counts as not responding.
    static let confirmLimit = Duration.seconds(10)

    private struct Events {
        var failures: [Side: AMQPError] = [:]
        var blockedReason: String?
    }

    private enum Side: Sendable { case consuming, publishing }

    private let reconnects: [Side: ReconnectCounter] = [
        .consuming: ReconnectCounter(.requests), .publishing: ReconnectCounter(.replies),
    ]

    private let events = Mutex(Events())

    /// Reads the connections' events until they are closed or the task is cancelled.
    func follow(_ transport: AMQPTransport) async {
        await withDiscardingTaskGroup { group in
            group.addTask { await self.follow(transport.consumer.events, .consuming) }
            group.addTask { await self.follow(transport.publisher.events, .publishing) }
        }
    }

    func check(_ transport: AMQPTransport, _ server: RPCServer, oldestUnconfirmed: Duration) -> HealthCheck {
        let events = events.withLock { $0 }
        return Self.verdict(
            Sight(
                consuming: .init(isConnected: transport.consumer.isConnected, failure: events.failures[.consuming]),
                publishing: .init(isConnected: transport.publisher.isConnected, failure: events.failures[.publishing]),
                isConsuming: transport.consumer.isConsuming,
                blockedReason: transport.publisher.isBlocked ? events.blockedReason ?? "" : nil,
                serving: server.state, oldestUnconfirmed: oldestUnconfirmed,
                unavailableQueues: transport.consumer.unavailableQueues))
    }

    static func verdict(_ sight: Sight) -> HealthCheck {
        if let trouble = trouble(sight) { return HealthCheck("bus", ok: false, detail: trouble) }
        return HealthCheck("bus", ok: true, detail: sight.unavailableQueues.joined(separator: "; "))
    }

    private static func trouble(_ sight: Sight) -> String? {
        for connection in [sight.consuming, sight.publishing] where !connection.isConnected { return reason(connection.failure) }
        if let reason = sight.blockedReason {
            return "the broker accepts no messages: memory or disk alarm\(reason.isEmpty ? "" : " (\(reason))")"
        }
        if sight.oldestUnconfirmed > confirmLimit {
            return
                "the broker does not respond: a reply has not been confirmed for \(sight.oldestUnconfirmed.components.seconds) s"
        }
        switch sight.serving {
        case .suspended(let reason): return "swaps are not accepted: \(reason)"
        case .draining: return "not consuming: stopping"
        case .idle: return "not consuming yet"
        case .consuming: return sight.isConsuming ? nil : "not consuming: the queues are being declared"
        }
    }

    static func reason(_ failure: AMQPError?) -> String {
        guard let failure else { return "no connection to the broker yet" }
        switch failure.code {
        case .authenticationFailed:
            return "the broker refused the user name, the password or the virtual host: \(failure.message)"
        case .tls: return "no TLS connection to the broker: \(failure.message)"
        case .connectFailed: return "no broker: \(failure.message)"
        case .channelClosed: return "the broker refused a declaration: \(failure.message)"
        default: return "the connection to the broker was lost: \(failure)"
        }
    }

    private func follow(_ stream: AsyncStream<AMQPConnectionEvent>, _ side: Side) async {
        for await event in stream {
            if case .connected = event { reconnects[side]?.connected() }
            events.withLock { events in
                switch event {
                case .connected: events.failures[side] = nil
                case .disconnected(let error, _): events.failures[side] = error
                case .blocked(let reason): events.blockedReason = reason
                case .unblocked: events.blockedReason = nil
                case .consumerCancelled: break
                }
            }
        }
    }
}
