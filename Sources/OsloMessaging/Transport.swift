/// How a publish ended well.
package enum PublishOutcome: Sendable, Hashable {
    /// The broker is responsible for the message now.
    case confirmed
    /// A mandatory message reached no queue, and is gone.
    case returned
}

/// The sending half of a transport.
package protocol MessagePublisher: Sendable {
    /// Publishes a body and waits for the broker to confirm or return it. Does not wait for a connection.
    ///
    /// - Throws: ``TransportError``; after `lost`, `suspected` and `disconnected` the message may have arrived all the same.
    func publish(
        _ body: [UInt8], properties: MessageProperties, exchange: String, routingKey: String, mandatory: Bool
    ) async throws(TransportError) -> PublishOutcome

    /// Publishes a reply to its caller's queue, mandatory.
    ///
    /// - Parameter body: the encoded reply.
    /// - Throws: as the general one.
    func publish(_ reply: RPCReply, body: [UInt8], to queue: String) async throws(TransportError) -> PublishOutcome

    /// Waits until publishing can succeed.
    ///
    /// - Throws: `TransportError` with code `closed` or `cancelled`.
    func waitUntilPublishable() async throws(TransportError)
}

extension MessagePublisher {
    /// Publishes a body as oslo.messaging does: JSON, UTF-8, persistent.
    package func publish(_ body: [UInt8], exchange: String, routingKey: String, mandatory: Bool) async throws(TransportError)
        -> PublishOutcome
    {
        try await publish(body, properties: .oslo, exchange: exchange, routingKey: routingKey, mandatory: mandatory)
    }

    /// Publishes it to the default exchange.
    package func publish(_ reply: RPCReply, body: [UInt8], to queue: String) async throws(TransportError) -> PublishOutcome {
        try await publish(body, exchange: "", routingKey: queue, mandatory: true)
    }
}

/// Moves messages: over a broker (``AMQPTransport``) or within the process (``InProcessTransport``).
package protocol Transport: MessagePublisher {
    associatedtype Inbound: AsyncSequence where Inbound.Element == InboundMessage, Inbound.Failure == Never

    /// Incoming messages, for one reader. Ends when the transport is closed.
    var inbound: Inbound { get }
    /// Whether it is consuming and can publish.
    var isReady: Bool { get }

    /// Keeps the transport alive until ``close()`` or cancellation.
    ///
    /// - Throws: when it cannot be started at all.
    func run() async throws
    /// Starts consuming, now or as soon as there is a connection.
    ///
    /// - Throws: `closed`.
    func startConsuming() async throws(TransportError)
    /// Requests no more messages; those that have arrived are still delivered.
    func stopConsuming() async
    /// Settles a delivery as done. Like the other two it does nothing for a delivery settled before, or after a reconnect.
    func acknowledge(_ token: SettlementToken) async
    /// Whether a delivery can still be settled; after a reconnect the broker redelivers it.
    func awaitsSettlement(_ token: SettlementToken) -> Bool
    /// Rejects for good: the message goes to its queue's dead-letter exchange, if any.
    func reject(_ token: SettlementToken) async
    /// Returns the message to its queue.
    func requeue(_ token: SettlementToken) async
    /// Ends ``inbound`` and ``run()``; whatever is unsettled is redelivered to somebody else.
    func close() async
}
