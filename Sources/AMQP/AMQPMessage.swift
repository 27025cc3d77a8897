/// The basic class's properties of a message.
package struct AMQPProperties: Sendable, Hashable {
    package var contentType: String?
    package var contentEncoding: String?
    package var headers: [String: AMQPValue]
    /// 1 transient, 2 persistent.
    package var deliveryMode: UInt8?
    package var priority: UInt8?
    package var correlationID: String?
    package var replyTo: String?
    /// Milliseconds to live, as decimal text.
    package var expiration: String?
    package var messageID: String?
    /// Seconds since 1970.
    package var timestamp: UInt64?
    package var type: String?
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

/// A message to publish or one that was delivered.
package struct AMQPMessage: Sendable, Hashable {
    package var body: [UInt8]
    package var properties: AMQPProperties

    package init(body: [UInt8], properties: AMQPProperties = AMQPProperties()) {
        self.body = body
        self.properties = properties
    }
}

extension AMQPMessage {
    /// Bytes, about: the body and the headers.
    var size: Int { body.count + AMQPValue.encodedSize(of: properties.headers) }
}

/// The identity of a delivery for its acknowledgement.
///
/// It is bound to one life of the consuming channel: after a reconnect, or after the broker closed that channel, it is stale,
/// the broker redelivers, and settling it is a harmless no-op.
package struct DeliveryTag: Sendable, Hashable {
    package let epoch: UInt64
    package let value: UInt64

    package init(epoch: UInt64, value: UInt64) {
        self.epoch = epoch
        self.value = value
    }
}

/// A message a consumer got (basic.deliver and its content).
package struct AMQPDelivery: Sendable {
    package let message: AMQPMessage
    package let exchange: String
    package let routingKey: String
    package let redelivered: Bool
    package let consumerTag: String
    package let tag: DeliveryTag
    /// Why the message was not taken; its body is the end of the real one then, see ``AMQPConfiguration/bodyTail``.
    package let refusal: String?

    package init(
        message: AMQPMessage, exchange: String, routingKey: String, redelivered: Bool, consumerTag: String, tag: DeliveryTag,
        refusal: String? = nil
    ) {
        self.refusal = refusal
        self.message = message
        self.exchange = exchange
        self.routingKey = routingKey
        self.redelivered = redelivered
        self.consumerTag = consumerTag
        self.tag = tag
    }
}

/// How a publish ended well.
package enum PublishConfirmation: Sendable, Hashable {
    /// The broker took responsibility (basic.ack).
    case confirmed
    /// A mandatory message had no queue to go to (basic.return, then basic.ack); the broker has dropped it.
    case returned(replyCode: Int, replyText: String)
}

extension AMQPProperties {
    private var shortStrings: [String?] {
        [contentType, contentEncoding, correlationID, replyTo, expiration, messageID, type, userID, appID]
    }

    /// Throws unless the properties fit one header frame of `frameMax` bytes; librabbitmq would notice only half-way
    /// through the message, with the stream then out of step.
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
