import AMQP
import Foundation
import JSON

extension InboundMessage {
    init(delivery: AMQPDelivery) {
        self.init(
            body: delivery.message.body, properties: MessageProperties(delivery.message.properties), exchange: delivery.exchange,
            routingKey: delivery.routingKey, redelivered: delivery.redelivered,
            settlement: SettlementToken(epoch: delivery.tag.epoch, value: delivery.tag.value),
            refusal: delivery.refusal)
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

extension AMQPProperties {
    init(_ properties: MessageProperties) {
        self.init(
            contentType: properties.contentType, contentEncoding: properties.contentEncoding,
            headers: properties.headers.reduce(into: [:]) { $0[$1.key] = AMQPValue($1.value) },
            deliveryMode: properties.deliveryMode.map(UInt8.init(clamping:)),
            priority: properties.priority.map(UInt8.init(clamping:)), correlationID: properties.correlationID,
            replyTo: properties.replyTo, expiration: properties.expiration, messageID: properties.messageID,
            timestamp: properties.timestamp.map(UInt64.init(clamping:)), type: properties.type, userID: properties.userID,
            appID: properties.appID)
    }
}

extension AMQPValue {
    /// Converts a JSON value to an AMQP field of the same type.
    fileprivate init(_ value: JSONValue) {
        switch value {
        case .null: self = .void
        case .bool(let value): self = .bool(value)
        case .integer(let value): self = .int64(value)
        case .real(let value): self = .double(value)
        case .string(let text): self = .string(text)
        case .array(let values): self = .array(values.map { AMQPValue($0) })
        case .object(let members): self = .table(members.reduce(into: [:]) { $0[$1.key] = AMQPValue($1.value) })
        }
    }
}

extension JSONObject {
    /// Converts an AMQP table, ordering its members by name since AMQP does not order them.
    fileprivate init(_ table: [String: AMQPValue]) {
        self.init(minimumCapacity: table.count)
        for (key, value) in table.sorted(by: { $0.key < $1.key }) { self[key] = JSONValue(value) }
    }
}

extension JSONValue {
    /// Converts an AMQP field: bytes become Base64, timestamps seconds since 1970.
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
