import AMQP
import Basics
import Foundation
package import JSON
import OsloMessaging

/// The program that wrote a line.
package enum CaptureDialect: Sendable, Hashable {
    case pivotd
    /// rabtap's `RabtapPersistentMessage`; the body may be in a separate file.
    case rabtap
    /// The JSON log of RabbitMQ's tracing plugin; `isDelivery` distinguishes a delivery from the publish before it.
    case tracing(isDelivery: Bool)
}

extension CaptureLine {
    /// Parses a line in any known form.
    ///
    /// - Throws: ``CaptureLineError`` if it has none of them.
    package static func read(_ value: JSONValue) throws(CaptureLineError) -> (line: CaptureLine, dialect: CaptureDialect) {
        guard let json = value.objectValue else { throw CaptureLineError("must be a JSON object, is of type \(value.typeName)") }
        if json["payload"] != nil, json["routing_keys"] != nil { return try tracing(json) }
        if json["XRabtapReceivedTimestamp"] != nil { return (try rabtap(json), .rabtap) }
        return (try CaptureLine(json: json), .pivotd)
    }

    private static func tracing(_ json: JSONObject) throws(CaptureLineError) -> (CaptureLine, CaptureDialect) {
        guard let payload = json["payload"]?.stringValue else { throw CaptureLineError("payload: is not a string") }
        guard let key = json["routing_keys"]?.arrayValue?.first?.stringValue else {
            throw CaptureLineError("routing_keys: contains no string")
        }
        let isDelivery = json["type"]?.stringValue == "received"
        let line = CaptureLine(
            capturedAt: json["timestamp"]?.stringValue.flatMap(Timestamp.date), exchange: json["exchange"]?.stringValue ?? "",
            routingKey: key, properties: AMQPProperties(json: json["properties"]),
            body: Body(try decode(base64: payload, "payload")))
        return (line, .tracing(isDelivery: isDelivery))
    }

    private static func rabtap(_ json: JSONObject) throws(CaptureLineError) -> CaptureLine {
        // Go writes missing values as an empty string or 0.
        func text(_ key: String) -> String? { json[key]?.stringValue.flatMap { $0.isEmpty ? nil : $0 } }
        func number(_ key: String) -> UInt8? { json[key]?.integerValue.flatMap { $0 == 0 ? nil : UInt8(clamping: $0) } }
        let sent = text("Timestamp").flatMap(Timestamp.date)
        let properties = AMQPProperties(
            contentType: text("ContentType"), contentEncoding: text("ContentEncoding"),
            headers: [String: AMQPValue](json["Headers"]?.objectValue ?? [:]), deliveryMode: number("DeliveryMode"),
            priority: number("Priority"), correlationID: text("CorrelationID"), replyTo: text("ReplyTo"),
            expiration: text("Expiration"), messageID: text("MessageID"),
            timestamp: sent.map { UInt64(max(0, $0.timeIntervalSince1970)) }, type: text("Type"), userID: text("UserID"),
            appID: text("AppID"))
        return CaptureLine(
            capturedAt: text("XRabtapReceivedTimestamp").flatMap(Timestamp.date), exchange: text("Exchange") ?? "",
            routingKey: text("RoutingKey") ?? "", redelivered: json["Redelivered"]?.boolValue ?? false, properties: properties,
            body: Body(try text("Body").map { text throws(CaptureLineError) in try decode(base64: text, "Body") } ?? []))
    }

    /// The message that a message of the broker's firehose (exchange `amq.rabbitmq.trace`) describes; nil if it is not one.
    package var traced: CaptureLine? {
        guard exchange == "amq.rabbitmq.trace" else { return nil }
        let headers = JSONObject(properties.headers)
        guard let original = headers["exchange_name"]?.stringValue,
            let key = headers["routing_keys"]?.arrayValue?.first?.stringValue
        else { return nil }
        return CaptureLine(
            capturedAt: capturedAt, exchange: original, routingKey: key,
            redelivered: headers["redelivered"]?.integerValue == 1, properties: AMQPProperties(json: headers["properties"]),
            body: body)
    }
}
