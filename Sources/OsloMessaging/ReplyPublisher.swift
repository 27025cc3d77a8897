package import JSON
package import Logging
import Synchronization

/// How the sending of a final reply ended.
package enum ReplyOutcome: Sendable, Hashable {
    /// The broker has it.
    case confirmed
    /// The caller's queue stayed away too long, or the reply cannot be sent at all.
    case gaveUp(reason: String)
    /// Cancelled or closed before it was over: the reply is still owed.
    case interrupted
}

/// Sends replies to callers: mandatory, under publisher confirms, repeated while the caller's queue is away.
package final class ReplyPublisher: Sendable {
    package struct Configuration: Sendable {
        /// How long a reply without queue is retried; oslo's `kombu_missing_consumer_retry_timeout`.
        package var retryTimeout: Duration
        package var retryInterval: Duration
        /// Makes the failure that stands for an answer the broker takes no message for.
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
    package let confirmed = EventCounter("pivotd_replies", kind: "confirmed")
    /// Attempts at a final reply that found no queue.
    package let returned = EventCounter("pivotd_replies", kind: "returned")
    /// Final replies given up.
    package let givenUp = EventCounter("pivotd_replies", kind: "given_up")
    /// Heartbeats the broker confirmed.
    package let heartbeats = EventCounter("pivotd_replies", kind: "heartbeat")

    private let publisher: any MessagePublisher
    private let configuration: Configuration
    private let logger: Logger
    private let monitor: CallMonitor
    private let gate: SendingGate
    private let missingQueues: Mutex<MissingReplyQueues>

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

    /// Begins heartbeats every half of the caller's timeout; nil when the caller wants none.
    ///
    /// Sending the final reply to the same address ends them too.
    package func startHeartbeats(for address: ReplyAddress) -> HeartbeatToken? {
        address.isReserved ? nil : monitor.start(address)
    }

    /// Ends heartbeats; after this returns none will be sent.
    package func stopHeartbeats(_ token: HeartbeatToken) async {
        await monitor.stop(token)
    }

    /// Sends the final reply of a call; returns when the broker has it or there is no more use in trying.
    ///
    /// While the broker is away it waits, bounded by cancellation only. A reply that the broker will never take is given up: a
    /// refused user, a message too large even when shortened, one for which the broker ends the connection.
    ///
    /// - Parameter uniqueID: the reply's `_unique_id`; the same id for the same outcome, so that a client can drop a duplicate.
    package func send(
        result: Result<JSONValue, RemoteFailure>, to address: ReplyAddress, uniqueID: String
    ) async -> ReplyOutcome {
        await send(result: result, to: address, uniqueID: uniqueID) {}
    }

    /// - Parameter afterFirstWord: called once, when the broker has confirmed or returned the reply for the first time, or when
    ///   it is given up without that.
    func send(
        result: Result<JSONValue, RemoteFailure>, to address: ReplyAddress, uniqueID: String,
        afterFirstWord: () async -> Void
    ) async -> ReplyOutcome {
        await monitor.stopAll(for: address)
        guard !address.isReserved else {
            await afterFirstWord()
            return giveUp(address, "the reply queue is a name of the broker's own")
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

    /// What follows from an attempt that the broker confirmed or returned.
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
                return .done(.gaveUp(reason: "its queue is missing for \(configuration.retryTimeout)"))
            }
        } else {
            if let reason = missingQueues.withLock({ $0.beginRetries(address.replyQueue, at: .now) }) {
                return .done(.gaveUp(reason: reason))
            }
            delivery.missingSince = .now
        }
        return .again(afterReconnect: false)
    }

    /// False when there will be no more attempts.
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
/// Mirrors `ObsoleteReplyQueuesCache` of `oslo_messaging/_drivers/amqpdriver.py`; one attempt is still made for each reply.
private struct MissingReplyQueues {
    private static let maxQueues = 200
    /// Replies retried at the same time; further ones without queue are given up at once.
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

    /// Nil when the reply may be retried, else why not.
    mutating func beginRetries(_ queue: String, at now: ContinuousClock.Instant) -> String? {
        if let since = gaveUpAt[queue], since.duration(to: now) < memory { return "its queue is gone" }
        guard retries < Self.maxRetries else { return "\(Self.maxRetries) other replies wait for their queues already" }
        retries += 1
        return nil
    }

    mutating func endRetries() { retries -= 1 }
}
