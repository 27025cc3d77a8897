package import AMQP
package import Logging

/// The transport over RabbitMQ.
///
/// It has two connections, one to consume and acknowledge and one to publish: a broker that blocks publishers stops reading from
/// their connection, and acknowledgements must still get through.
package final class AMQPTransport: Transport {
    /// The connection that consumes and acknowledges; open for its events and for further declarations.
    package let consumer: AMQPConnection
    /// The connection that publishes.
    package let publisher: AMQPConnection
    package let keepsMessages: Bool
    private let bodyLimit: Int

    /// - Parameters:
    ///   - consuming: Declared and consumed on the first connection.
    ///   - publishing: Declared on the second one.
    ///   - prefetch: Maximum unacknowledged messages per queue.
    package init(
        configuration: AMQPConfiguration, consuming: AMQPTopology, publishing: AMQPTopology, prefetch: Int = 256, logger: Logger
    ) {
        bodyLimit = configuration.bodyLimit
        keepsMessages = consuming.outlivesConsumers
        var publisherConfiguration = configuration
        publisherConfiguration.connectionName += " (publish)"
        consumer = AMQPConnection(configuration: configuration, topology: consuming, deliveryBuffer: prefetch, logger: logger)
        publisher = AMQPConnection(configuration: publisherConfiguration, topology: publishing, logger: logger)
    }

    package var inbound: AsyncMapSequence<AMQPDeliveries, InboundMessage> {
        consumer.deliveries.map { [bodyLimit] in InboundMessage(delivery: $0, limit: bodyLimit) }
    }
    package var isReady: Bool { consumer.isConsuming && publisher.isConnected }

    /// Connects and stays connected until ``close()`` or cancellation.
    ///
    /// - Throws: ``AMQPError`` if a connection cannot be started at all.
    package func run() async throws {
        try await withThrowingTaskGroup { group in
            for connection in [consumer, publisher] {
                group.addTask { try await connection.run() }
            }
            try await group.waitForAll()
        }
    }

    package func startConsuming() async throws(TransportError) { await consumer.startConsuming() }
    package func stopConsuming() async { await consumer.stopConsuming() }

    package func acknowledge(_ tag: DeliveryTag) async { _ = await consumer.acknowledge(tag) }
    package func awaitsSettlement(_ tag: DeliveryTag) -> Bool { consumer.awaitsSettlement(tag) }
    package func reject(_ tag: DeliveryTag) async { _ = await consumer.reject(tag, requeue: false) }
    package func requeue(_ tag: DeliveryTag) async { _ = await consumer.reject(tag, requeue: true) }

    package func publish(
        _ body: [UInt8], properties: AMQPProperties, exchange: String, routingKey: String, mandatory: Bool
    ) async throws(TransportError) -> PublishOutcome {
        try await AMQPPublisher(publisher).publish(
            body, properties: properties, exchange: exchange, routingKey: routingKey, mandatory: mandatory)
    }

    package func waitUntilPublishable() async throws(TransportError) {
        try await AMQPPublisher(publisher).waitUntilPublishable()
    }

    /// Closes the consuming connection first, so that what has been answered is acknowledged.
    package func close() async {
        await consumer.close()
        await publisher.close()
    }
}

/// The sending half of a transport, over one connection to RabbitMQ.
package struct AMQPPublisher: MessagePublisher {
    private let connection: AMQPConnection

    /// - Parameter connection: Run by its owner.
    package init(_ connection: AMQPConnection) { self.connection = connection }

    package func publish(
        _ body: [UInt8], properties: AMQPProperties, exchange: String, routingKey: String, mandatory: Bool
    ) async throws(TransportError) -> PublishOutcome {
        do {
            let message = AMQPMessage(body: body, properties: properties)
            switch try await connection.publish(message, exchange: exchange, routingKey: routingKey, mandatory: mandatory) {
            case .confirmed: return .confirmed
            case .returned: return .returned
            }
        } catch {
            throw TransportError(error)
        }
    }

    package func waitUntilPublishable() async throws(TransportError) {
        do {
            try await connection.waitUntilConnected()
        } catch let error as AMQPError {
            throw TransportError(error)
        } catch {
            throw TransportError(code: .cancelled, message: "cancelled", isRetriable: false)
        }
    }
}

extension TransportError {
    fileprivate init(_ error: AMQPError) {
        self.init(code: Self.code(error), message: error.description, isRetriable: error.isRetriable)
    }

    private static func code(_ error: AMQPError) -> Code {
        switch (error.code, error.replyCode) {
        case (.invalidArgument, _): .invalid
        case (.channelClosed, 403) where !error.isRetriable: .forbidden
        case (.channelClosed, 406) where !error.isRetriable: .tooLarge
        case (.channelClosed, _) where error.isRetriable: .suspected
        case (.nacked, _), (.overflow, _), (.channelClosed, _): .refused
        case (.connectionClosed, _) where !error.isRetriable: .closed
        // 320 is CONNECTION_FORCED: an operator, or the broker's shutdown.
        case (.connectionClosed, let replyCode?) where replyCode != 320: .suspected
        case (.connectionClosed, _): .lost
        default: .disconnected
        }
    }
}

extension InboundMessage {
    /// - Parameter limit: maximum bytes of a body that is compressed, without its compression.
    init(delivery: AMQPDelivery, limit: Int) {
        self.init(
            body: delivery.message.body, properties: delivery.message.properties, exchange: delivery.exchange,
            routingKey: delivery.routingKey, redelivered: delivery.redelivered, tag: delivery.tag, refusal: delivery.refusal,
            bodyLimit: limit)
    }
}
