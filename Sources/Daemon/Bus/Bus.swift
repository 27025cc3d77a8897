import AMQP
import Logging
import OsloMessaging
import ServiceLifecycle
import Settings

/// The worker's side of the message bus: transport, replies, notifications.
final class Bus: Service {
    let transport: AMQPTransport
    /// Times the confirms of replies.
    let confirms: TimedPublisher
    let replies: ReplyPublisher
    /// Nil if notifications are off.
    let notifications: NotificationLink?
    let failures: NovaFailure

    init(configuration: PivotdConfiguration.Bus, logger: Logger) throws {
        let topology = try configuration.topology()
        let publisherID = "pivotd:\(configuration.host)"
        var amqp = try configuration.amqpConfiguration(name: publisherID)
        amqp.bodyLimit = configuration.maxMessageBytes
        amqp.bodyTail = MessageEnvelope.tailLength
        if let tls = amqp.tls, !tls.verifyPeer {
            logger.warning(
                "TLS to RabbitMQ without ssl_ca_file: the broker is not verified, and anyone posing as it gets the password")
        }
        amqp.deliveryBytes = Self.deliveryBytes
        transport = AMQPTransport(
            configuration: amqp,
            consuming: topology.server(
                topic: configuration.topic, host: configuration.host, prefetch: UInt16(clamping: configuration.prefetch)),
            publishing: topology.requests, prefetch: configuration.prefetch, logger: logger)
        confirms = TimedPublisher(transport)
        failures = NovaFailure(module: configuration.failureModule)
        replies = ReplyPublisher(
            publisher: confirms, configuration: .init(retryTimeout: configuration.replyRetryTimeout, failures: failures),
            logger: logger)
        notifications =
            configuration.notifications
            ? try NotificationLink(configuration, topology: topology, publisherID: publisherID, logger: logger) : nil
    }

    /// Maximum bytes of unacknowledged requests held here.
    private static let deliveryBytes = 64 << 20

    /// Runs until graceful shutdown, then sends what is queued and closes the connections.
    func run() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            defer { group.cancelAll() }
            group.addTask { [replies] in await replies.run() }
            group.addTask { [notifications] in await notifications?.run() }
            group.addTask { [notifications, transport] in
                try? await gracefulShutdown()
                await notifications?.close()
                await transport.close()
            }
            try await transport.run()
        }
    }
}
