/// A field of an AMQP table (headers, arguments), of the kinds in librabbitmq's `amqp_field_value_kind_t`.
///
/// Integers of every width decode to `int64`, except unsigned 64-bit values that do not fit, which stay `uint64`.
/// An `int64` that fits 32 bits is sent as a 32-bit integer, as py-amqp does.
package indirect enum AMQPValue: Sendable, Hashable {
    case void
    case bool(Bool)
    case int64(Int64)
    case uint64(UInt64)
    case double(Double)
    /// `value` divided by ten to the power of `scale`.
    case decimal(scale: UInt8, value: UInt32)
    case string(String)
    /// A byte array, or a long string that is not UTF-8.
    case bytes([UInt8])
    /// Seconds since 1970.
    case timestamp(UInt64)
    case array([AMQPValue])
    case table([String: AMQPValue])
}

extension AMQPValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral {
    package init(stringLiteral value: String) { self = .string(value) }
    package init(integerLiteral value: Int64) { self = .int64(value) }
    package init(booleanLiteral value: Bool) { self = .bool(value) }
}

extension AMQPValue {
    /// Upper bound of the encoded size in bytes, including the kind octet.
    var encodedSize: Int {
        switch self {
        case .void: 1
        case .bool: 2
        case .int64, .uint64, .double, .timestamp: 9
        case .decimal: 6
        case .string(let text): 5 + text.utf8.count
        case .bytes(let bytes): 5 + bytes.count
        case .array(let values): values.reduce(5) { $0 + $1.encodedSize }
        case .table(let table): 1 + Self.encodedSize(of: table)
        }
    }

    static func encodedSize(of table: [String: AMQPValue]) -> Int {
        table.reduce(4) { $0 + 1 + $1.key.utf8.count + $1.value.encodedSize }
    }

    /// Whether every key fits AMQP's short string and nothing is nested deeper than ``maximumDepth``.
    static func isEncodable(_ table: [String: AMQPValue], depth: Int = 0) -> Bool {
        depth <= maximumDepth && table.allSatisfy { $0.key.utf8.count <= 255 && $0.value.isEncodable(depth: depth + 1) }
    }

    /// Deeper nesting is refused in both directions: a hostile header must not control how deep we recurse.
    static let maximumDepth = 32

    private func isEncodable(depth: Int) -> Bool {
        switch self {
        case .array(let values): depth <= Self.maximumDepth && values.allSatisfy { $0.isEncodable(depth: depth + 1) }
        case .table(let table): Self.isEncodable(table, depth: depth)
        default: true
        }
    }
}
