import AMQP
import Capture
import Daemon
import Logging
import OsloMessaging
import Settings

/// A replay's connection to a broker.
struct ReplayPublishing: Sendable {
    private static let connectTimeout = Duration.seconds(10)

    private let endpoints: Int
    private let transport: AMQPTransport
    private let target: PublishTarget

    /// - Parameter patience: Seconds without any answer after which the missing ones count as lost.
    /// - Throws: A usage error.
    init(
        _ bus: PivotdConfiguration.Bus, _ destination: PublishTarget.Destination, patience: Double, _ logger: Logger
    ) throws {
        do {
            let amqp = try bus.amqpConfiguration(name: "pivotd replay")
            let replyQueue = RPCClient.makeReplyQueueName()
            endpoints = amqp.endpoints.count
            transport = AMQPTransport(
                configuration: amqp, consuming: try bus.topology().replies(queue: replyQueue), publishing: AMQPTopology(),
                logger: logger)
            target = PublishTarget(
                transport: transport, replyQueue: replyQueue, destination: destination, patience: .seconds(patience))
        } catch {
            throw ConfigurationOptions.usageError(error)
        }
    }

    /// Connects, does the work, and disconnects.
    func with(_ work: @escaping @Sendable (PublishTarget) async throws -> Void) async throws {
        try await withThrowingTaskGroup(of: Bool.self) { group in
            defer { group.cancelAll() }
            group.addTask {
                try await transport.run()
                return false
            }
            group.addTask {
                await target.run()
                return false
            }
            group.addTask {
                let watch = BrokerWatch(transport)
                try await watch.waitUntilConnected(endpoints: endpoints, within: Self.connectTimeout)
                try await transport.startConsuming()
                try await work(target)
                return true
            }
            while let isDone = try await group.next(), !isDone {}
        }
    }
}
