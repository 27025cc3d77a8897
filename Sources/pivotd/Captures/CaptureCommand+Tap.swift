import AMQP
import Basics
import Capture
import Daemon
import Logging
import OsloMessaging
import Settings
import UnixSignals

/// A queue beside the real one, with its own connection.
struct CaptureTap {
    /// Bytes that may wait on the broker: a stalled recording must not fill it up.
    private static let backlog: Int64 = 512 << 20

    private let amqp: AMQPConfiguration
    private let checks: AMQPTopology
    private let topology: AMQPTopology
    private let text: String

    /// - Throws: A usage error.
    init(_ bus: PivotdConfiguration.Bus, queue: String?, routingKey: String?, withReplies: Bool) throws {
        var amqp = try ConfigurationOptions.checking { try bus.amqpConfiguration(name: "pivotd capture") }
        // Reconnect fast: nothing is recorded without the broker.
        (amqp.initialBackoff, amqp.maxBackoff) = (.milliseconds(250), .seconds(2))
        self.amqp = amqp
        let key = queue ?? routingKey ?? "#"
        var bindings = [QueueBinding(queue: "", exchange: bus.exchange, routingKey: key)]
        if withReplies {
            // The firehose's key for messages to the default exchange, whose name is empty.
            bindings.append(QueueBinding(queue: "", exchange: "amq.rabbitmq.trace", routingKey: "publish."))
        }
        topology = AMQPTopology(
            queues: [
                QueueDeclaration(
                    name: "", exclusive: true, autoDelete: true, arguments: ["x-max-length-bytes": .int64(Self.backlog)])
            ], bindings: bindings, consumers: [ConsumerDeclaration(queue: "", exclusive: true, prefetch: 256)])
        checks = AMQPTopology(
            exchanges: [ExchangeDeclaration(name: bus.exchange, passive: true)],
            queues: queue.map { [QueueDeclaration(name: $0, passive: true)] } ?? [])
        text = queue.map { "queue \($0)" } ?? "exchange \(bus.exchange), routing key \(key)"
    }

    /// Records until the recorder is done or a signal arrives. An existing file is only emptied once the tap is in place.
    ///
    /// - Parameters:
    ///   - onReady: Called with a description of the tap once it is in place.
    ///   - gaps: Follows the connection.
    func record(
        _ recorder: Recorder, to path: String, until signals: UnixSignalsSequence, gaps: CaptureGaps,
        onReady: @escaping @Sendable (String) -> Void
    ) async throws {
        let transport = AMQPTransport(
            configuration: amqp, consuming: AMQPTopology(), publishing: AMQPTopology(), logger: Self.logger)
        let stop: @Sendable () async throws -> Void = {
            for await _ in signals { break }
            // Messages already delivered are still written.
            await transport.close()
        }
        try await alongside([transport.run, { await gaps.follow(transport.consumer.events) }, stop]) {
            try await BrokerWatch(transport, watchesConsumer: false).waitUntilConnected(to: amqp.endpoints)
            try await tap(transport)
            let writer = try CaptureWriter(path: path)
            onReady(text)
            do {
                _ = try await recorder.record(from: transport, to: writer)
            } catch {
                try? await writer.close()
                throw error
            }
            try await writer.close()
        }
    }

    /// Creates the queue and starts consuming, if the thing to tap exists.
    private func tap(_ transport: AMQPTransport) async throws {
        do {
            try await transport.publisher.declare(checks)
            try await transport.consumer.declare(topology)
        } catch {
            throw CommandFailure(.failure, "\(text) cannot be tapped: \(error)\n\(remedy)")
        }
    }

    private var remedy: String {
        checks.queues.isEmpty
            ? "--exchange must exist, and the broker's user must be allowed to read it"
            : "its worker creates the queue: check the name with rabbitmqctl list_queues, and the virtual host of --transport-url"
    }

    private static let logger = Logger(label: "pivotd") { _ in SwiftLogNoOpLogHandler() }
}
