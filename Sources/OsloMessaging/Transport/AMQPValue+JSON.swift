package import AMQP
import Foundation
package import JSON

extension [String: AMQPValue] {
    /// Converts a JSON object to an AMQP table, whose members have no order.
    package init(_ object: JSONObject) { self = object.reduce(into: [:]) { $0[$1.key] = AMQPValue($1.value) } }
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
        case .object(let members): self = .table([String: AMQPValue](members))
        }
    }
}

extension JSONObject {
    /// Converts an AMQP table, ordering its members by name since AMQP does not order them.
    package init(_ table: [String: AMQPValue]) {
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
