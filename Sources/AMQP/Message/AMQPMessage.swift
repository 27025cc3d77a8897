/// A message's properties, as AMQP's basic class defines them; nil means not set.
package struct AMQPProperties: Sendable, Hashable {
    /// MIME type of the body.
    package var contentType: String?
    /// Character set of the body, as kombu uses this property.
    package var contentEncoding: String?
    /// Not sent if empty.
    package var headers: [String: AMQPValue]
    /// 1 transient, 2 persistent.
    package var deliveryMode: UInt8?
    /// 0 is the lowest.
    package var priority: UInt8?
    package var correlationID: String?
    /// Unused by oslo.messaging, which names the reply queue in the body.
    package var replyTo: String?
    /// Time to live in milliseconds, as a decimal string.
    package var expiration: String?
    /// Set by the publisher; helps to match a basic.return with its publish.
    package var messageID: String?
    /// Seconds since 1970.
    package var timestamp: UInt64?
    package var type: String?
    /// RabbitMQ refuses any user but the connection's own.
    package var userID: String?
    package var appID: String?

    package init(
        contentType: String? = nil, contentEncoding: String? = nil, headers: [String: AMQPValue] = [:],
        deliveryMode: UInt8? = nil, priority: UInt8? = nil, correlationID: String? = nil, replyTo: String? = nil,
        expiration: String? = nil, messageID: String? = nil, timestamp: UInt64? = nil, type: String? = nil,
        userID: String? = nil, appID: String? = nil
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
}

/// A message to publish, or one that was delivered.
package struct AMQPMessage: Sendable, Hashable {
    /// The raw body, however many frames it takes.
    package var body: [UInt8]
    package var properties: AMQPProperties

    package init(body: [UInt8], properties: AMQPProperties = AMQPProperties()) {
        self.body = body
        self.properties = properties
    }
}

extension AMQPMessage {
    /// Approximate bytes of body and headers.
    var size: Int { body.count + AMQPValue.encodedSize(of: properties.headers) }
}

/// Identifies a delivery in order to settle it.
///
/// A tag is valid for one life of the consuming channel. After a reconnect, or after the broker closed that channel, it is stale:
/// the broker redelivers, and settling the tag does nothing.
package struct DeliveryTag: Sendable, Hashable {
    /// The life of the consuming channel, counted from 1.
    package let epoch: UInt64
    /// The broker's delivery tag.
    package let value: UInt64

    package init(epoch: UInt64, value: UInt64) {
        self.epoch = epoch
        self.value = value
    }
}

/// A message that a consumer received (basic.deliver and its content).
package struct AMQPDelivery: Sendable {
    package let message: AMQPMessage
    /// The exchange it was published to; empty for the default exchange.
    package let exchange: String
    /// The routing key it was published with.
    package let routingKey: String
    /// Whether the broker may have delivered it before.
    package let redelivered: Bool
    package let consumerTag: String
    /// Identifies the delivery when settling it.
    package let tag: DeliveryTag
    /// Why the message was refused; its body is then only the end of the real one, see ``AMQPConfiguration/bodyTail``.
    package let refusal: String?
}

/// How the broker answered a publish that it took.
package enum PublishConfirmation: Sendable, Hashable {
    /// The broker took responsibility (basic.ack).
    case confirmed
    /// A mandatory message reached no queue (basic.return, then basic.ack); the broker dropped it.
    case returned(replyCode: Int, replyText: String)
}

extension AMQPProperties {
    private var shortStrings: [String?] {
        [contentType, contentEncoding, correlationID, replyTo, expiration, messageID, type, userID, appID]
    }

    /// Checks that the properties fit a header frame of `frameMax` bytes: librabbitmq would only notice in mid-message, leaving
    /// the stream out of sync.
    ///
    /// - Throws: ``AMQPError`` `invalidArgument` if they do not.
    func validate(frameMax: Int) throws(AMQPError) {
        guard shortStrings.allSatisfy({ ($0?.utf8.count ?? 0) <= 255 }) else {
            throw AMQPError(code: .invalidArgument, message: "a property is longer than 255 bytes")
        }
        guard AMQPValue.isEncodable(headers) else {
            throw AMQPError(code: .invalidArgument, message: "a header is nested too deeply or its name is longer than 255 bytes")
        }
        let size = shortStrings.reduce(64) { $0 + 1 + ($1?.utf8.count ?? 0) } + AMQPValue.encodedSize(of: headers)
        guard size <= frameMax else {
            throw AMQPError(code: .invalidArgument, message: "the properties take \(size) bytes, a frame \(frameMax)")
        }
    }
}
