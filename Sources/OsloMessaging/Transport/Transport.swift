package import AMQP

/// How the broker answered a publish.
package enum PublishOutcome: Sendable, Hashable {
    /// The broker has taken responsibility for the message.
    case confirmed
    /// A mandatory message reached no queue and was dropped.
    case returned
}

/// The sending half of a transport.
package protocol MessagePublisher: Sendable {
    /// Publishes a body and waits for the broker to confirm or return it. Does not wait for a connection.
    ///
    /// - Throws: ``TransportError``; after `lost`, `suspected` and `disconnected` the message may have arrived nevertheless.
    func publish(
        _ body: [UInt8], properties: AMQPProperties, exchange: String, routingKey: String, mandatory: Bool
    ) async throws(TransportError) -> PublishOutcome

    /// Publishes a reply to its caller's queue, mandatory.
    ///
    /// - Parameter body: The encoded reply.
    /// - Throws: ``TransportError``, like the general method.
    func publish(_ reply: RPCReply, body: [UInt8], to queue: String) async throws(TransportError) -> PublishOutcome

    /// Waits until publishing can succeed.
    ///
    /// - Throws: ``TransportError`` `closed` or `cancelled`.
    func waitUntilPublishable() async throws(TransportError)
}

extension MessagePublisher {
    /// Publishes a body with oslo.messaging's properties: JSON, UTF-8, persistent.
    ///
    /// - Throws: ``TransportError``.
    package func publish(_ body: [UInt8], exchange: String, routingKey: String, mandatory: Bool) async throws(TransportError)
        -> PublishOutcome
    {
        try await publish(body, properties: .oslo, exchange: exchange, routingKey: routingKey, mandatory: mandatory)
    }

    /// Publishes the reply to the default exchange.
    ///
    /// - Throws: ``TransportError``.
    package func publish(_ reply: RPCReply, body: [UInt8], to queue: String) async throws(TransportError) -> PublishOutcome {
        try await publish(body, exchange: "", routingKey: queue, mandatory: true)
    }
}

/// Sends and receives messages, through a broker (``AMQPTransport``) or within the process (``InProcessTransport``).
package protocol Transport: MessagePublisher {
    /// The sequence of incoming messages.
    associatedtype Inbound: AsyncSequence where Inbound.Element == InboundMessage, Inbound.Failure == Never

    /// Incoming messages, for a single reader. Ends when the transport is closed.
    var inbound: Inbound { get }
    /// Whether it is consuming and can publish.
    var isReady: Bool { get }
    /// Whether messages are kept while nothing is consumed. If not, what is requeued must find its consumers.
    var keepsMessages: Bool { get }

    /// Keeps the transport alive until ``close()`` or cancellation.
    ///
    /// - Throws: The transport's own error if it cannot be started at all.
    func run() async throws
    /// Starts consuming, now or as soon as there is a connection.
    ///
    /// - Throws: ``TransportError`` `closed`.
    func startConsuming() async throws(TransportError)
    /// Stops consuming; messages that have already arrived are still delivered.
    func stopConsuming() async
    /// Settles a delivery as done. Like the other two, does nothing for a delivery already settled, or after a reconnect.
    func acknowledge(_ tag: DeliveryTag) async
    /// Whether a delivery can still be settled; after a reconnect the broker redelivers it.
    func awaitsSettlement(_ tag: DeliveryTag) -> Bool
    /// Rejects a delivery for good: the message goes to its queue's dead-letter exchange, if any.
    func reject(_ tag: DeliveryTag) async
    /// Returns the message to its queue.
    func requeue(_ tag: DeliveryTag) async
    /// Ends ``inbound`` and ``run()``; the broker redelivers whatever is unsettled.
    func close() async
}
