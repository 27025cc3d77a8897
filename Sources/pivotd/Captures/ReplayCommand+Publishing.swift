import AMQP
import Basics
import Capture
import Daemon
import Logging
import OsloMessaging
import Settings

/// A replay's connection to a broker.
struct ReplayPublishing: Sendable {
    private let endpoints: [AMQPEndpoint]
    private let transport: AMQPTransport
    private let target: PublishTarget

    /// - Parameter patience: Seconds without any answer after which the missing ones count as lost.
    /// - Throws: A usage error.
    init(
        _ bus: PivotdConfiguration.Bus, _ destination: PublishTarget.Destination, patience: Double, _ logger: Logger
    ) throws {
        let (amqp, topology) = try ConfigurationOptions.checking {
            (try bus.amqpConfiguration(name: "pivotd replay"), try bus.topology())
        }
        let replyQueue = RPCClient.makeReplyQueueName()
        endpoints = amqp.endpoints
        transport = AMQPTransport(
            configuration: amqp, consuming: topology.replies(queue: replyQueue), publishing: AMQPTopology(), logger: logger)
        target = PublishTarget(
            transport: transport, replyQueue: replyQueue, destination: destination, patience: .seconds(patience))
    }

    /// Connects, does the work, and disconnects.
    func with(_ work: @escaping @Sendable (PublishTarget) async throws -> Void) async throws {
        try await alongside([transport.run, target.run]) {
            try await BrokerWatch(transport).waitUntilConnected(to: endpoints)
            try await transport.startConsuming()
            try await work(target)
        }
    }
}
