import JSON
import Logging
import OsloMessaging
import ServiceLifecycle
import VolumeSwap

/// The worker's side of the message bus: transport, replies, notifications.
final class Bus: Service {
    let transport: AMQPTransport
    let replies: ReplyPublisher
    let notifier: Notifier?
    let failures: NovaFailure

    init(configuration: PivotdConfiguration.Bus, logger: Logger) throws {
        let topology = try configuration.topology()
        let publisherID = "pivotd:\(configuration.host)"
        transport = AMQPTransport(
            configuration: try configuration.amqpConfiguration(name: publisherID),
            consuming: topology.server(
                topic: configuration.topic, host: configuration.host, prefetch: UInt16(clamping: configuration.prefetch)),
            publishing: configuration.notifications
                ? topology.notifications(topic: configuration.notificationTopic, priorities: [.info, .error]) : topology.requests,
            prefetch: configuration.prefetch, logger: logger)
        replies = ReplyPublisher(
            publisher: transport, configuration: .init(retryTimeout: configuration.replyRetryTimeout), logger: logger)
        failures = NovaFailure(module: configuration.failureModule)
        notifier =
            configuration.notifications
            ? Notifier(
                publisher: transport,
                configuration: .init(
                    exchange: configuration.exchange, topic: configuration.notificationTopic, publisherID: publisherID),
                logger: logger) : nil
    }

    /// Runs until graceful shutdown: then what is queued goes out, and the connections are closed.
    func run() async throws {
        try await withGracefulShutdownHandler {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { [transport] in try await transport.run() }
                group.addTask { [replies] in await replies.run() }
                group.addTask { [notifier, transport] in
                    if let notifier { await notifier.run() } else { try? await gracefulShutdown() }
                    // What was queued is out.
                    await transport.close()
                }
                try await group.next()
                group.cancelAll()
            }
        } onGracefulShutdown: { [self] in
            notifier?.finish()
        }
    }

    /// Sends a task's final reply: the same body whenever it is sent.
    ///
    /// - Returns: false when it is still owed.
    func deliver(_ record: SwapRecord, _ replyTo: ReplyTo, _ outcome: SwapOutcome) async -> Bool {
        let result: Result<JSONValue, RemoteFailure> =
            switch outcome {
            case .success(let value): .success(value)
            case .failure(let failure): .failure(failures.failure(failure))
            }
        let address = ReplyAddress(messageID: replyTo.messageID, replyQueue: replyTo.queue, timeout: replyTo.timeout)
        switch await replies.send(result: result, to: address, uniqueID: UniqueID.derived(from: "outcome \(record.id)")) {
        case .confirmed, .gaveUp: return true
        case .interrupted: return false
        }
    }
}
