package import AMQP
package import JSON
import Synchronization

/// A transport without a broker, for replays and tests.
///
/// Its buffer is unbounded: the sender must limit unsettled messages, as a replay does.
package final class InProcessTransport: Transport {
    /// A message published by the other side.
    package struct Published: Sendable {
        package let body: [UInt8]
        package let exchange: String
        /// A queue's name if the exchange is the default one, `""`.
        package let routingKey: String
        /// Whether the publisher wants it returned if it reaches no queue.
        package let mandatory: Bool
        package let properties: AMQPProperties
        /// The body in decoded form, if it is a reply.
        package let reply: RPCReply?
    }

    /// How a delivery was settled.
    package enum Settlement: Sendable, Hashable {
        case acknowledged, rejected, requeued
    }

    package let inbound: AsyncStream<InboundMessage>
    package let keepsMessages: Bool
    private let arrivals: AsyncStream<InboundMessage>.Continuation
    private let onPublish: @Sendable (Published) async throws(TransportError) -> PublishOutcome
    private let onSettle: @Sendable (DeliveryTag, Settlement) async -> Void
    private let state = Mutex(State())
    private let closed = AsyncStream<Never>.makeStream()

    private struct State {
        var isConsuming = false
        var isClosed = false
        var lastTag: UInt64 = 0
        var unsettled: Set<UInt64> = []
    }

    /// - Parameters:
    ///   - keepsMessages: Whether the broker's queues would keep them while nothing is consumed.
    ///   - onPublish: Acts as the broker: confirms, returns or refuses a publish.
    ///   - onSettle: Called once for each delivery.
    package init(
        keepsMessages: Bool = true,
        onPublish: @escaping @Sendable (Published) async throws(TransportError) -> PublishOutcome = { _ in .confirmed },
        onSettle: @escaping @Sendable (DeliveryTag, Settlement) async -> Void = { _, _ in }
    ) {
        (inbound, arrivals) = AsyncStream.makeStream()
        self.keepsMessages = keepsMessages
        self.onPublish = onPublish
        self.onSettle = onSettle
    }

    /// Passes a message to the reader; drops it after ``close()``.
    ///
    /// - Parameter inner: The content, if the sender has already opened the envelope; the body is then ignored.
    @discardableResult
    package func deliver(
        _ body: [UInt8] = [], inner: JSONObject? = nil, properties: AMQPProperties = .oslo, exchange: String = "",
        routingKey: String = "", redelivered: Bool = false
    ) -> DeliveryTag {
        let value = state.withLock { state in
            state.lastTag += 1
            state.unsettled.insert(state.lastTag)
            return state.lastTag
        }
        let tag = DeliveryTag(epoch: 1, value: value)
        arrivals.yield(
            InboundMessage(
                body: body, inner: inner, properties: properties, exchange: exchange, routingKey: routingKey,
                redelivered: redelivered, tag: tag))
        return tag
    }

    package var isReady: Bool { state.withLock { $0.isConsuming && !$0.isClosed } }

    package func run() async throws {
        for await _ in closed.stream {}
    }

    package func startConsuming() async throws(TransportError) {
        try state.withLock { state throws(TransportError) in
            guard !state.isClosed else { throw Self.isClosedError }
            state.isConsuming = true
        }
    }

    package func stopConsuming() async {
        state.withLock { $0.isConsuming = false }
    }

    package func acknowledge(_ tag: DeliveryTag) async { await settle(tag, .acknowledged) }
    package func awaitsSettlement(_ tag: DeliveryTag) -> Bool { state.withLock { $0.unsettled.contains(tag.value) } }
    package func reject(_ tag: DeliveryTag) async { await settle(tag, .rejected) }
    package func requeue(_ tag: DeliveryTag) async { await settle(tag, .requeued) }

    private func settle(_ tag: DeliveryTag, _ settlement: Settlement) async {
        guard state.withLock({ $0.unsettled.remove(tag.value) }) != nil else { return }
        await onSettle(tag, settlement)
    }

    package func publish(
        _ body: [UInt8], properties: AMQPProperties, exchange: String, routingKey: String, mandatory: Bool
    ) async throws(TransportError) -> PublishOutcome {
        try await publish(
            Published(
                body: body, exchange: exchange, routingKey: routingKey, mandatory: mandatory, properties: properties, reply: nil))
    }

    package func publish(_ reply: RPCReply, body: [UInt8], to queue: String) async throws(TransportError) -> PublishOutcome {
        try await publish(
            Published(body: body, exchange: "", routingKey: queue, mandatory: true, properties: .oslo, reply: reply))
    }

    private func publish(_ message: Published) async throws(TransportError) -> PublishOutcome {
        guard !state.withLock({ $0.isClosed }) else { throw Self.isClosedError }
        return try await onPublish(message)
    }

    package func waitUntilPublishable() async throws(TransportError) {
        guard !state.withLock({ $0.isClosed }) else { throw Self.isClosedError }
    }

    package func close() async {
        state.withLock { state in
            state.isClosed = true
            state.isConsuming = false
        }
        arrivals.finish()
        closed.continuation.finish()
    }

    private static let isClosedError = TransportError(code: .closed, message: "the transport is closed", isRetriable: false)
}
