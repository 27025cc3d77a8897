package import AMQP
package import JSON

extension AMQPProperties {
    /// What kombu sets on every oslo.messaging message: JSON in UTF-8, persistent, priority 0.
    package static let oslo = AMQPProperties(
        contentType: MessageEnvelope.contentType, contentEncoding: MessageEnvelope.contentEncoding, deliveryMode: 2, priority: 0)
}

/// A message as a transport delivers it.
package struct InboundMessage: Sendable {
    /// Empty if ``inner`` is given.
    package let body: [UInt8]
    /// The content of the body, if an in-process sender has already opened the envelope.
    package var inner: JSONObject?
    package let properties: AMQPProperties
    package let exchange: String
    package let routingKey: String
    /// Whether it may have been delivered before.
    package let redelivered: Bool
    /// Identifies the delivery, to acknowledge or reject it.
    package let tag: DeliveryTag
    /// Why the transport refused the message; ``body`` is then only the end of the real one.
    package var refusal: String?
}
