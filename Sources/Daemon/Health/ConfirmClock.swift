import AMQP
import OsloMessaging
import Synchronization

/// Measures how long the broker has not confirmed what it was sent. Pure.
///
/// Retrying an attempt that timed out does not restart the clock; only an answer from the broker does.
struct ConfirmClock: Sendable {
    typealias Instant = ContinuousClock.Instant

    /// How long after a failed attempt the next one is expected.
    static let retryGap = Duration.seconds(2)

    private var inFlight: [UInt64: Instant] = [:]
    private var nextID: UInt64 = 0
    /// Start of the oldest failed attempt, and end of the latest, since the broker's last answer.
    private var failed: (began: Instant, last: Instant)?

    init() {}

    mutating func begin(at now: Instant) -> UInt64 {
        nextID += 1
        inFlight[nextID] = now
        return nextID
    }

    mutating func end(_ id: UInt64, hasWord: Bool, at now: Instant) {
        guard let began = inFlight.removeValue(forKey: id) else { return }
        failed = hasWord ? nil : (min(failed?.began ?? began, began), now)
    }

    /// Age of the oldest unconfirmed publish; zero if there is none.
    func age(at now: Instant) -> Duration {
        var oldest = inFlight.values.min()
        if let failed, !inFlight.isEmpty || failed.last.duration(to: now) < Self.retryGap {
            oldest = min(oldest ?? failed.began, failed.began)
        }
        return oldest?.duration(to: now) ?? .zero
    }
}

/// A publisher whose confirms are timed.
final class TimedPublisher: MessagePublisher {
    private let base: any MessagePublisher
    private let clock = Mutex(ConfirmClock())

    init(_ base: any MessagePublisher) {
        self.base = base
    }

    /// How long the oldest publish has been unconfirmed.
    var oldestUnconfirmed: Duration { clock.withLock { $0.age(at: .now) } }

    func publish(
        _ body: [UInt8], properties: AMQPProperties, exchange: String, routingKey: String, mandatory: Bool
    ) async throws(TransportError) -> PublishOutcome {
        try await timed { () async throws(TransportError) in
            try await base.publish(
                body, properties: properties, exchange: exchange, routingKey: routingKey, mandatory: mandatory)
        }
    }

    func publish(_ reply: RPCReply, body: [UInt8], to queue: String) async throws(TransportError) -> PublishOutcome {
        try await timed { () async throws(TransportError) in try await base.publish(reply, body: body, to: queue) }
    }

    func waitUntilPublishable() async throws(TransportError) { try await base.waitUntilPublishable() }

    private func timed(
        _ publish: () async throws(TransportError) -> PublishOutcome
    ) async throws(TransportError) -> PublishOutcome {
        let id = clock.withLock { $0.begin(at: .now) }
        do throws(TransportError) {
            let outcome = try await publish()
            clock.withLock { $0.end(id, hasWord: true, at: .now) }
            return outcome
        } catch {
            // A refusal is an answer.
            clock.withLock { $0.end(id, hasWord: error.code == .refused, at: .now) }
            throw error
        }
    }
}
