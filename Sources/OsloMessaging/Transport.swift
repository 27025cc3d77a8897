/// How a publish ended well.
package enum PublishOutcome: Sendable, Hashable {
    /// The broker is responsible for the message now.
    case confirmed
    /// A mandatory message had no queue to go to and is gone.
    case returned
}

/// The sending half of a transport.
package protocol MessagePublisher: Sendable {
    /// Publishes a body and waits for the broker's word. Does not wait for a connection.
    func publish(
        _ body: [UInt8], properties: MessageProperties, exchange: String, routingKey: String, mandatory: Bool
    ) async throws(TransportError) -> PublishOutcome

    /// Publishes a reply to its caller's queue, mandatory.
    ///
    /// - Parameter body: the reply, encoded.
    func publish(_ reply: RPCReply, body: [UInt8], to queue: String) async throws(TransportError) -> PublishOutcome

    /// Waits until publishing can succeed.
    ///
    /// - Throws: `TransportError` with code `closed` or `cancelled` when that will never be.
    func waitUntilPublishable() async throws(TransportError)
}

extension MessagePublisher {
    /// Publishes a body as oslo.messaging does: JSON, UTF-8, persistent.
    package func publish(_ body: [UInt8], exchange: String, routingKey: String, mandatory: Bool) async throws(TransportError)
        -> PublishOutcome
    {
        try await publish(body, properties: .oslo, exchange: exchange, routingKey: routingKey, mandatory: mandatory)
    }

    package func publish(_ reply: RPCReply, body: [UInt8], to queue: String) async throws(TransportError) -> PublishOutcome {
        try await publish(body, exchange: "", routingKey: queue, mandatory: true)
    }
}

/// Moves messages: over a broker (``AMQPTransport``) or within the process (``InProcessTransport``).
package protocol Transport: MessagePublisher {
    associatedtype Inbound: AsyncSequence where Inbound.Element == InboundMessage, Inbound.Failure == Never

    /// What arrives, for one reader, with a bounded buffer. Ends when the transport is closed.
    var inbound: Inbound { get }
    /// Whether it consumes and can publish.
    var isReady: Bool { get }

    /// The life of the transport; returns after ``close()``.
    func run() async throws
    func startConsuming() async throws(TransportError)
    /// Asks for no more messages; those that arrived already are still delivered.
    func stopConsuming() async
    func acknowledge(_ token: SettlementToken) async
    /// Whether a delivery can still be settled; after a reconnect the broker delivers it again.
    func awaitsSettlement(_ token: SettlementToken) -> Bool
    /// Rejects for good: the message goes to the dead-letter exchange when its queue has one.
    func reject(_ token: SettlementToken) async
    /// Gives the message back to its queue.
    func requeue(_ token: SettlementToken) async
    func close() async
}
