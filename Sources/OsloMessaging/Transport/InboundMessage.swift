package import JSON

/// A message's AMQP properties, independent of the transport.
package struct MessageProperties: Sendable, Hashable {
    package var contentType: String?
    package var contentEncoding: String?
    /// Application headers.
    package var headers: JSONObject
    /// 1 transient, 2 persistent.
    package var deliveryMode: Int?
    package var priority: Int?
    package var correlationID: String?
    package var replyTo: String?
    /// Time to live in milliseconds, as a decimal string.
    package var expiration: String?
    package var messageID: String?
    /// Seconds since 1970.
    package var timestamp: Int64?
    package var type: String?
    /// The publishing user, verified by RabbitMQ.
    package var userID: String?
    package var appID: String?

    package init(
        contentType: String? = nil, contentEncoding: String? = nil, headers: JSONObject = [:], deliveryMode: Int? = nil,
        priority: Int? = nil, correlationID: String? = nil, replyTo: String? = nil, expiration: String? = nil,
        messageID: String? = nil, timestamp: Int64? = nil, type: String? = nil, userID: String? = nil, appID: String? = nil
    ) {
        self.contentType = contentType
        self.contentEncoding = contentEncoding
        self.headers = headers
        self.deliveryMode = deliveryMode
        self.priority = priority
        self.correlationID = correlationID
        self.replyTo = replyTo
        self.expiration = expiration
        self.messageID = messageID
        self.timestamp = timestamp
        self.type = type
        self.userID = userID
        self.appID = appID
    }

    /// What kombu sets on every oslo.messaging message: JSON in UTF-8, persistent, priority 0.
    package static let oslo = MessageProperties(
        contentType: MessageEnvelope.contentType, contentEncoding: MessageEnvelope.contentEncoding, deliveryMode: 2, priority: 0)
}

/// Identifies a delivery to its transport. Settling it twice, or after a reconnect, does nothing.
package struct SettlementToken: Sendable, Hashable {
    /// The life of the consuming channel.
    package let epoch: UInt64
    /// The delivery's number within it.
    package let value: UInt64

    package init(epoch: UInt64, value: UInt64) {
        self.epoch = epoch
        self.value = value
    }
}

/// A message as a transport delivers it.
package struct InboundMessage: Sendable {
    /// Empty if ``inner`` is given.
    package let body: [UInt8]
    /// The content of the body, if an in-process sender has already opened the envelope.
    package let inner: JSONObject?
    package let properties: MessageProperties
    package let exchange: String
    package let routingKey: String
    /// Whether it may have been delivered before.
    package let redelivered: Bool
    /// Settles the delivery.
    package let settlement: SettlementToken
    /// Why the transport refused the message; ``body`` is then only the end of the real one.
    package let refusal: String?

    package init(
        body: [UInt8], inner: JSONObject? = nil, properties: MessageProperties, exchange: String, routingKey: String,
        redelivered: Bool, settlement: SettlementToken, refusal: String? = nil
    ) {
        self.refusal = refusal
        self.body = body
        self.inner = inner
        self.properties = properties
        self.exchange = exchange
        self.routingKey = routingKey
        self.redelivered = redelivered
        self.settlement = settlement
    }
}
