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
        /// Replies retried at the same time; further ones without queue are given up at once.
        package var maxRetriedReplies: Int

        package init(
            retryTimeout: Duration = .seconds(60), retryInterval: Duration = .milliseconds(250), maxRetriedReplies: Int = 4096
        ) {
            self.retryTimeout = retryTimeout
            self.retryInterval = retryInterval
            self.maxRetriedReplies = maxRetriedReplies
        }
    }

    package let counters: RPCCounters
    private let publisher: any MessagePublisher
    private let configuration: Configuration
    private let logger: Logger
    private let monitor: CallMonitor
    private let missingQueues: Mutex<MissingReplyQueues>

    package init(
        publisher: any MessagePublisher, configuration: Configuration = Configuration(), counters: RPCCounters = RPCCounters(),
        logger: Logger
    ) {
        self.publisher = publisher
        self.configuration = configuration
        self.counters = counters
        self.logger = logger
        missingQueues = Mutex(MissingReplyQueues(memory: configuration.retryTimeout, maxRetries: configuration.maxRetriedReplies))
        monitor = CallMonitor { address in
            let reply = RPCReply(messageID: address.messageID, uniqueID: UniqueID.random(), content: .heartbeat)
            do {
                let outcome = try await publisher.publish(reply, body: reply.encoded(), to: address.replyQueue)
                if outcome == .confirmed { counters.increment(\.heartbeats) }
            } catch {
                logger.debug("heartbeat not sent", metadata: ["msg_id": "\(address.messageID)", "reason": "\(error)"])
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
        monitor.start(address)
    }

    /// Ends heartbeats; after this returns none will be sent.
    package func stopHeartbeats(_ token: HeartbeatToken) async {
        await monitor.stop(token)
    }

    /// Sends the final reply of a call; returns when the broker has it or there is no more use in trying.
    ///
    /// While the broker is away it waits, bounded by cancellation only.
    ///
    /// - Parameter uniqueID: the reply's `_unique_id`; the same id for the same outcome, so that a client can drop a duplicate.
    package func send(
        result: Result<JSONValue, RemoteFailure>, to address: ReplyAddress, uniqueID: String
    ) async -> ReplyOutcome {
        await send(result: result, to: address, uniqueID: uniqueID) {}
    }

    /// - Parameter afterFirstWord: called once, when the broker has confirmed or returned the reply for the first time.
    func send(
        result: Result<JSONValue, RemoteFailure>, to address: ReplyAddress, uniqueID: String,
        afterFirstWord: () async -> Void
    ) async -> ReplyOutcome {
        await monitor.stopAll(for: address)
        let content: RPCReply.Content =
            switch result {
            case .success(let value): .result(value)
            case .failure(let failure): .failure(failure)
            }
        let reply = RPCReply(messageID: address.messageID, uniqueID: uniqueID, content: content)
        let body = reply.encoded()
        var missingSince: ContinuousClock.Instant?
        defer { if missingSince != nil { missingQueues.withLock { $0.endRetries() } } }
        var hasWord = false
        while true {
            do {
                let outcome = try await publisher.publish(reply, body: body, to: address.replyQueue)
                if outcome == .confirmed { missingQueues.withLock { $0.found(address.replyQueue) } }
                if !hasWord { await afterFirstWord() }
                hasWord = true
                guard outcome == .returned else {
                    counters.increment(\.repliesConfirmed)
                    return .confirmed
                }
                counters.increment(\.repliesReturned)
                if let missingSince {
                    guard missingSince.duration(to: .now) < configuration.retryTimeout else {
                        missingQueues.withLock { $0.gaveUp(address.replyQueue, at: .now) }
                        return giveUp(address, "reply queue \(address.replyQueue) is missing for \(configuration.retryTimeout)")
                    }
                } else {
                    if let reason = missingQueues.withLock({ $0.beginRetries(address.replyQueue, at: .now) }) {
                        return giveUp(address, reason)
                    }
                    missingSince = .now
                }
                try await Task.sleep(for: configuration.retryInterval)
            } catch let error as TransportError {
                guard error.isRetriable else {
                    return error.code == .invalid ? giveUp(address, error.message) : .interrupted
                }
                // After a loss of the broker the caller needs time to declare its queue again.
                if missingSince != nil { missingSince = .now }
                do {
                    try await Task.sleep(for: configuration.retryInterval)
                    try await publisher.waitUntilPublishable()
                } catch { return .interrupted }
            } catch { return .interrupted }
        }
    }

    private func giveUp(_ address: ReplyAddress, _ reason: String) -> ReplyOutcome {
        counters.increment(\.repliesGivenUp)
        logger.warning(
            "reply given up",
            metadata: ["msg_id": "\(address.messageID)", "reply_q": "\(address.replyQueue)", "reason": "\(reason)"])
        return .gaveUp(reason: reason)
    }
}

/// Remembers reply queues whose callers are gone, so that thousands of replies to a dead caller are not all retried.
///
/// Mirrors `ObsoleteReplyQueuesCache` of `oslo_messaging/_drivers/amqpdriver.py`; one attempt is still made for each reply.
private struct MissingReplyQueues {
    private static let maxQueues = 200
    let memory: Duration
    let maxRetries: Int
    private var gaveUpAt: [String: ContinuousClock.Instant] = [:]
    private var retries = 0

    init(memory: Duration, maxRetries: Int) {
        self.memory = memory
        self.maxRetries = maxRetries
    }

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
        if let since = gaveUpAt[queue], since.duration(to: now) < memory { return "reply queue \(queue) is gone" }
        guard retries < maxRetries else { return "\(maxRetries) other replies wait for their queues already" }
        retries += 1
        return nil
    }

    mutating func endRetries() { retries -= 1 }
}
