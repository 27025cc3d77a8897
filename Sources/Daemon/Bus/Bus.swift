import Logging
import OsloMessaging
import ServiceLifecycle

/// The worker's side of the message bus: transport, replies, notifications.
final class Bus: Service {
    let transport: AMQPTransport
    /// Times the confirms of replies.
    let confirms: TimedPublisher
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
        confirms = TimedPublisher(transport)
        failures = NovaFailure(module: configuration.failureModule)
        replies = ReplyPublisher(
            publisher: confirms, configuration: .init(retryTimeout: configuration.replyRetryTimeout, failures: failures),
            logger: logger)
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
}
