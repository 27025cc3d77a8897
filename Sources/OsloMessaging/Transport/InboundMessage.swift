package import AMQP
package import JSON

extension AMQPProperties {
    /// What kombu sets on every oslo.messaging message: JSON in UTF-8, persistent, priority 0.
    package static let oslo = AMQPProperties(
        contentType: MessageEnvelope.contentType, contentEncoding: MessageEnvelope.contentEncoding, deliveryMode: 2, priority: 0)
}

/// A message as a transport delivers it.
package struct InboundMessage: Sendable {
    /// As it was delivered, perhaps compressed. Empty if ``inner`` is given.
    package var body: [UInt8]
    /// The content of the body, if an in-process sender has already opened the envelope.
    package var inner: JSONObject?
    package var properties: AMQPProperties
    package let exchange: String
    package let routingKey: String
    /// Whether it may have been delivered before.
    package let redelivered: Bool
    /// Identifies the delivery, to acknowledge or reject it.
    package let tag: DeliveryTag
    /// Why the transport refused the message; ``body`` is then only the end of the real one.
    package var refusal: String?
    /// Maximum bytes of the body once it is decompressed.
    var bodyLimit = 64 << 20
}

extension InboundMessage {
    /// The message as it was before its compression, refused if that cannot be read.
    ///
    /// Compressed bodies stay compressed while they wait: their size as delivered is what bounds them.
    package var decompressed: InboundMessage {
        guard refusal == nil else { return self }
        var message = self
        switch KombuCompression.decompress(body, properties, limit: bodyLimit) {
        case .plain: break
        case .decompressed(let plain):
            message.body = plain
            message.properties.headers[KombuCompression.header] = nil
        case .unreadable(let reason): message.refusal = reason
        }
        return message
    }
}
