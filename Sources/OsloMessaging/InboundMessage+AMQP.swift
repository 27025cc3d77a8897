import AMQP
import Foundation
import JSON
import OrderedCollections

extension InboundMessage {
    init(delivery: AMQPDelivery) {
        self.init(
            body: delivery.message.body, properties: MessageProperties(delivery.message.properties), exchange: delivery.exchange,
            routingKey: delivery.routingKey, redelivered: delivery.redelivered,
            settlement: SettlementToken(epoch: delivery.tag.epoch, channel: delivery.tag.channel, value: delivery.tag.value))
    }
}

extension MessageProperties {
    init(_ properties: AMQPProperties) {
        self.init(
            contentType: properties.contentType, contentEncoding: properties.contentEncoding,
            headers: JSONObject(properties.headers), deliveryMode: properties.deliveryMode.map(Int.init),
            priority: properties.priority.map(Int.init), correlationID: properties.correlationID, replyTo: properties.replyTo,
            expiration: properties.expiration, messageID: properties.messageID,
            timestamp: properties.timestamp.map(Int64.init(clamping:)), type: properties.type, userID: properties.userID,
            appID: properties.appID)
    }
}

extension JSONObject {
    /// An AMQP table, ordered by name since AMQP gives its fields no order.
    fileprivate init(_ table: [String: AMQPValue]) {
        self.init(minimumCapacity: table.count)
        for (key, value) in table.sorted(by: { $0.key < $1.key }) { self[key] = JSONValue(value) }
    }
}

extension JSONValue {
    /// An AMQP field: bytes become Base64 text, timestamps seconds since 1970.
    fileprivate init(_ value: AMQPValue) {
        switch value {
        case .void: self = .null
        case .bool(let value): self = .bool(value)
        case .int64(let value): self = .integer(value)
        case .uint64(let value): self = Int64(exactly: value).map { .integer($0) } ?? .real(Double(value))
        case .double(let value): self = .real(value)
        case .decimal(let scale, let value): self = .real(Double(value) / pow(10, Double(scale)))
        case .string(let text): self = .string(text)
        case .bytes(let bytes): self = .string(Data(bytes).base64EncodedString())
        case .timestamp(let seconds): self = .integer(Int64(clamping: seconds))
        case .array(let values): self = .array(values.map { JSONValue($0) })
        case .table(let table): self = .object(JSONObject(table))
        }
    }
}
