package import AMQP
import Basics
package import Foundation
package import JSON
package import OsloMessaging

/// One captured message: a line of a capture file.
package struct CaptureLine: Sendable {
    /// When it was seen; nil if unknown.
    package var capturedAt: Date?
    package var exchange: String
    package var routingKey: String
    /// Whether it may have been delivered before; false for a publish.
    package var redelivered = false
    package var properties = AMQPProperties()
    package var body: Body

    /// A message's body.
    package enum Body: Sendable, Hashable {
        case json(JSONValue)
        /// Anything that is not JSON.
        case bytes([UInt8])

        /// Parses JSON; anything else stays bytes.
        package init(_ bytes: [UInt8]) {
            self = (try? JSONValue(parsing: bytes)).map { .json($0) } ?? .bytes(bytes)
        }

        /// The body as it goes over the bus.
        package var bytes: [UInt8] {
            switch self {
            case .json(let value): value.serializedBytes()
            case .bytes(let bytes): bytes
            }
        }
    }
}

extension CaptureLine {
    /// A message seen at `capturedAt`.
    package init(_ message: InboundMessage, capturedAt: Date) {
        self.init(
            capturedAt: capturedAt, exchange: message.exchange, routingKey: message.routingKey, redelivered: message.redelivered,
            properties: message.properties, body: Body(message.body))
    }

    /// The line as JSON.
    package var json: JSONValue {
        var line: JSONObject = [:]
        line["captured_at"] = capturedAt.map { .string(Timestamp.text($0)) } ?? .null
        line["exchange"] = .string(exchange)
        line["routing_key"] = .string(routingKey)
        line["redelivered"] = .bool(redelivered)
        line["properties"] = properties.json
        switch body {
        case .json(let value): line["body"] = value
        case .bytes(let bytes): line["body_base64"] = .string(Data(bytes).base64EncodedString())
        }
        return .object(line)
    }

    /// Parses a line in pivotd's own form.
    ///
    /// - Throws: ``CaptureLineError`` if a member is missing or has the wrong type.
    package init(json: JSONObject) throws(CaptureLineError) {
        guard let exchange = json["exchange"]?.stringValue else { throw CaptureLineError("exchange: missing or not a string") }
        guard let routingKey = json["routing_key"]?.stringValue else {
            throw CaptureLineError("routing_key: missing or not a string")
        }
        let time = json["captured_at"]?.stringValue
        capturedAt = time.flatMap(Timestamp.date)
        if time != nil, capturedAt == nil { throw CaptureLineError("captured_at: is not an RFC 3339 time") }
        self.exchange = exchange
        self.routingKey = routingKey
        redelivered = json["redelivered"]?.boolValue ?? false
        properties = AMQPProperties(json: json["properties"])
        if let value = json["body"] {
            body = .json(value)
        } else if let text = json["body_base64"]?.stringValue {
            body = .bytes(try Self.decode(base64: text, "body_base64"))
        } else {
            throw CaptureLineError("neither body nor body_base64")
        }
    }

    static func decode(base64 text: String, _ key: String) throws(CaptureLineError) -> [UInt8] {
        guard let data = Data(base64Encoded: text) else { throw CaptureLineError("\(key): is not Base64") }
        return [UInt8](data)
    }
}

/// Why a line is not a valid line of a capture file. Never quotes the line.
package struct CaptureLineError: Error, Sendable, Hashable, CustomStringConvertible {
    package let description: String

    init(_ description: String) { self.description = description }
}

extension AMQPProperties {
    /// Omits properties that the message does not have; `headers` is always present.
    var json: JSONValue {
        var json: JSONObject = [:]
        func put(_ key: String, _ text: String?) { if let text { json[key] = .string(text) } }
        func put(_ key: String, _ number: Int64?) { if let number { json[key] = .integer(number) } }
        put("content_type", contentType)
        put("content_encoding", contentEncoding)
        json["headers"] = .object(JSONObject(headers))
        put("delivery_mode", deliveryMode.map(Int64.init))
        put("priority", priority.map(Int64.init))
        put("correlation_id", correlationID)
        put("reply_to", replyTo)
        put("expiration", expiration)
        put("message_id", messageID)
        put("timestamp", timestamp.map(Int64.init(clamping:)))
        put("type", type)
        put("user_id", userID)
        put("app_id", appID)
        return .object(json)
    }

    /// Reads the properties by RabbitMQ's names; those missing or of another type are nil.
    init(json: JSONValue?) {
        func text(_ key: String) -> String? { json?[key]?.stringValue }
        func number(_ key: String) -> Int64? { json?[key]?.integerValue }
        self.init(
            contentType: text("content_type"), contentEncoding: text("content_encoding"),
            headers: [String: AMQPValue](json?["headers"]?.objectValue ?? [:]),
            deliveryMode: number("delivery_mode").map(UInt8.init(clamping:)),
            priority: number("priority").map(UInt8.init(clamping:)), correlationID: text("correlation_id"),
            replyTo: text("reply_to"), expiration: text("expiration"), messageID: text("message_id"),
            timestamp: number("timestamp").map(UInt64.init(clamping:)), type: text("type"), userID: text("user_id"),
            appID: text("app_id"))
    }
}
