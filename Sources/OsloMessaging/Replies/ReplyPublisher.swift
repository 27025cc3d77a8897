package import JSON
package import Logging
import Synchronization

/// The outcome of sending a final reply.
package enum ReplyOutcome: Sendable, Hashable {
    /// The broker has it.
    case confirmed
    /// The caller's queue was missing for too long, or the reply cannot be sent at all.
    case gaveUp(reason: String)
    /// Cancelled or closed meanwhile: the reply is still owed.
    case interrupted
}

/// Sends replies to callers: mandatory, under publisher confirms, retried while the caller's queue is missing.
package final class ReplyPublisher: Sendable {
    /// How replies are retried.
    package struct Configuration: Sendable {
        /// How long a reply without a queue is retried, like oslo's `kombu_missing_consumer_retry_timeout`.
        package var retryTimeout: Duration
        /// Pause between attempts.
        package var retryInterval: Duration
        /// Creates the failure that replaces a reply too large for the broker.
        package var failures: NovaFailure

        package init(
            retryTimeout: Duration = .seconds(60), retryInterval: Duration = .milliseconds(250),
            failures: NovaFailure = NovaFailure()
        ) {
            self.failures = failures
            self.retryTimeout = retryTimeout
            self.retryInterval = retryInterval
        }
    }

    /// Final replies the broker confirmed.
    package let confirmed = EventCounter("pivotd_replies_total", kind: "confirmed")
    /// Attempts to send a final reply that found no queue.
    package let returned = EventCounter("pivotd_replies_total", kind: "returned")
    /// Final replies that were given up.
    package let givenUp = EventCounter("pivotd_replies_total", kind: "given_up")
    /// Heartbeats the broker confirmed.
    package let heartbeats = EventCounter("pivotd_replies_total", kind: "heartbeat")

    private let publisher: any MessagePublisher
    private let configuration: Configuration
    private let logger: Logger
    private let monitor: CallMonitor
    private let gate: SendingGate
    private let missingQueues: Mutex<MissingReplyQueues>

    /// - Parameter publisher: Run by its owner.
    package init(publisher: any MessagePublisher, configuration: Configuration = Configuration(), logger: Logger) {
        self.publisher = publisher
        self.configuration = configuration
        self.logger = logger
        missingQueues = Mutex(MissingReplyQueues(memory: configuration.retryTimeout))
        let gate = SendingGate()
        self.gate = gate
        monitor = CallMonitor { [heartbeats] address in
            let reply = RPCReply(messageID: address.messageID, uniqueID: UniqueID.random(), content: .heartbeat)
            await gate.enter(alone: false)
            defer { gate.leave() }
            do throws(TransportError) {
                let outcome = try await publisher.publish(reply, body: reply.encoded(), to: address.replyQueue)
                guard outcome == .confirmed else { return .returned }
                heartbeats.increment()
                return .delivered
            } catch {
                logger.debug("heartbeat not sent", metadata: ["msg_id": "\(Echo.cut(address.messageID))", "reason": "\(error)"])
                return error.code == .forbidden ? .returned : .unsent
            }
        }
    }

    /// Sends heartbeats until cancelled.
    package func run() async {
        await monitor.run()
    }

    /// Starts heartbeats, two per caller's timeout; nil if the caller wants none.
    ///
    /// Sending the final reply to the same address also ends them.
    package func startHeartbeats(for address: ReplyAddress) -> HeartbeatToken? {
        address.isReserved ? nil : monitor.start(address)
    }

    /// Stops heartbeats; none is sent after this returns.
    package func stopHeartbeats(_ token: HeartbeatToken) async {
        await monitor.stop(token)
    }

    /// Sends the final reply of a call; returns when the broker has it or further attempts are pointless.
    ///
    /// While the broker is unreachable it waits, until cancelled. A reply that the broker will never accept is given up: the user
    /// may not publish, the message is too large even when shortened, or the broker closes the connection over it.
    ///
    /// - Parameter uniqueID: The reply's `_unique_id`; use the same id for the same outcome, so that a client can drop
    ///   duplicates.
    package func send(
        result: Result<JSONValue, RemoteFailure>, to address: ReplyAddress, uniqueID: String
    ) async -> ReplyOutcome {
        await send(result: result, to: address, uniqueID: uniqueID) {}
    }

    /// - Parameter afterFirstWord: Called once, when the broker first confirms or returns the reply, or when it is given up
    ///   before.
    func send(
        result: Result<JSONValue, RemoteFailure>, to address: ReplyAddress, uniqueID: String,
        afterFirstWord: () async -> Void
    ) async -> ReplyOutcome {
        await monitor.stopAll(for: address)
        guard !address.isReserved else {
            await afterFirstWord()
            return giveUp(address, "the reply queue's name is reserved for the broker")
        }
        let content: RPCReply.Content =
            switch result {
            case .success(let value): .result(value)
            case .failure(let failure): .failure(failure)
            }
        var delivery = ReplyDelivery(RPCReply(messageID: address.messageID, uniqueID: uniqueID, content: content))
        defer { if delivery.missingSince != nil { missingQueues.withLock { $0.endRetries() } } }
        var hasWord = false
        while true {
            let step: ReplyDelivery.Step
            let alone = delivery.strikes.goesAlone
            do throws(TransportError) {
                let outcome = try await publish(delivery, to: address, alone: alone)
                if !hasWord { await afterFirstWord() }
                hasWord = true
                step = published(outcome, &delivery, address)
            } catch {
                step = delivery.failed(error, alone: alone, failures: configuration.failures)
            }
            switch step {
            case .shortened: logger.warning("reply too large for the broker: sent shorter", metadata: Self.metadata(address))
            case .again(let afterReconnect):
                guard await pause(afterReconnect: afterReconnect) else { return .interrupted }
            case .done(.gaveUp(let reason)):
                if !hasWord { await afterFirstWord() }
                return giveUp(address, reason)
            case .done(let outcome): return outcome
            }
        }
    }

    private func publish(
        _ delivery: ReplyDelivery, to address: ReplyAddress, alone: Bool
    ) async throws(TransportError) -> PublishOutcome {
        await gate.enter(alone: alone)
        defer { gate.leave() }
        return try await publisher.publish(delivery.reply, body: delivery.body, to: address.replyQueue)
    }

    /// Decides what to do after an attempt that the broker confirmed or returned.
    private func published(
        _ outcome: PublishOutcome, _ delivery: inout ReplyDelivery, _ address: ReplyAddress
    ) -> ReplyDelivery.Step {
        guard outcome == .returned else {
            missingQueues.withLock { $0.found(address.replyQueue) }
            confirmed.increment()
            return .done(.confirmed)
        }
        returned.increment()
        if let missingSince = delivery.missingSince {
            guard missingSince.duration(to: .now) < configuration.retryTimeout else {
                missingQueues.withLock { $0.gaveUp(address.replyQueue, at: .now) }
                return .done(.gaveUp(reason: "its queue has been missing for \(configuration.retryTimeout)"))
            }
        } else {
            if let reason = missingQueues.withLock({ $0.beginRetries(address.replyQueue, at: .now) }) {
                return .done(.gaveUp(reason: reason))
            }
            delivery.missingSince = .now
        }
        return .again(afterReconnect: false)
    }

    /// False if there will be no more attempts.
    private func pause(afterReconnect: Bool) async -> Bool {
        do {
            try await Task.sleep(for: configuration.retryInterval)
            if afterReconnect { try await publisher.waitUntilPublishable() }
            return true
        } catch { return false }
    }

    private func giveUp(_ address: ReplyAddress, _ reason: String) -> ReplyOutcome {
        givenUp.increment()
        var metadata = Self.metadata(address)
        metadata["reason"] = "\(Echo.cutWords(of: reason))"
        logger.warning("reply given up", metadata: metadata)
        return .gaveUp(reason: reason)
    }

    private static func metadata(_ address: ReplyAddress) -> Logger.Metadata {
        ["msg_id": "\(Echo.cut(address.messageID))", "reply_q": "\(Echo.cut(address.replyQueue))"]
    }
}

/// Remembers reply queues whose callers are gone, so that thousands of replies to a dead caller are not all retried.
///
/// Mirrors `ObsoleteReplyQueuesCache` in `oslo_messaging/_drivers/amqpdriver.py`; each reply still gets one attempt.
private struct MissingReplyQueues {
    private static let maxQueues = 200
    /// Maximum replies being retried; further ones without a queue are given up at once.
    private static let maxRetries = 4096
    let memory: Duration
    private var gaveUpAt: [String: ContinuousClock.Instant] = [:]
    private var retries = 0

    init(memory: Duration) { self.memory = memory }

    mutating func found(_ queue: String) {
        if !gaveUpAt.isEmpty { gaveUpAt[queue] = nil }
    }

    mutating func gaveUp(_ queue: String, at now: ContinuousClock.Instant) {
        if gaveUpAt.count >= Self.maxQueues {
            gaveUpAt = gaveUpAt.filter { $0.value.duration(to: now) < memory }
            if gaveUpAt.count >= Self.maxQueues, let oldest = gaveUpAt.min(by: { $0.value < $1.value }) {
                gaveUpAt[oldest.key] = nil
            }
        }
        gaveUpAt[queue] = now
    }

    /// Why the reply must not be retried; nil if it may be.
    mutating func beginRetries(_ queue: String, at now: ContinuousClock.Instant) -> String? {
        if let since = gaveUpAt[queue], since.duration(to: now) < memory { return "its queue is gone" }
        guard retries < Self.maxRetries else { return "\(Self.maxRetries) other replies are already waiting for their queues" }
        retries += 1
        return nil
    }

    mutating func endRetries() { retries -= 1 }
}
