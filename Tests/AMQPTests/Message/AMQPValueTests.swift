import CRabbitMQ
import Testing

@testable import AMQP

@Suite struct AMQPValueTests {
    private func roundTrip(_ table: [String: AMQPValue]) throws -> [String: AMQPValue]? {
        try Pool().roundTrip(table, limit: 128 << 10)
    }

    @Test func everyKindSurvivesTheCLayer() throws {
        let table: [String: AMQPValue] = [
            "void": .void, "true": true, "false": false, "small": -5, "large": .int64(.max), "least": .int64(.min),
            "unsigned": .uint64(.max), "double": .double(2.5), "decimal": .decimal(scale: 2, value: 314),
            "string": "grüße", "empty": "", "bytes": .bytes([0, 255, 128]), "no bytes": .bytes([]),
            "timestamp": .timestamp(1_700_000_000), "array": .array([1, "a", .array([.void])]), "no array": .array([]),
            "table": .table(["inner": .table([:])]),
        ]
        #expect(try roundTrip(table) == table)
        #expect(try roundTrip([:]) == [:])
    }

    @Test func deadLetterHeadersSurvive() throws {
        let death: AMQPValue = .table([
            "count": 3, "reason": "rejected", "queue": "q", "exchange": "", "time": .timestamp(1),
            "routing-keys": .array(["q", "r"]),
        ])
        #expect(try roundTrip(["x-death": .array([death])]) == ["x-death": .array([death])])
    }

    /// As py-amqp sends them.
    @Test(arguments: [(5, false), (2_147_483_647, false), (2_147_483_648, true), (4_294_967_296, true)] as [(Int64, Bool)])
    func integersTakeTheBytesThatTheyNeed(_ number: Int64, isLong: Bool) throws {
        let pool = Pool()
        let table = try pool.table(["n": .int64(number)])
        let kind = UInt32(table.entries[0].value.kind)
        #expect(kind == (isLong ? AMQP_FIELD_KIND_I64 : AMQP_FIELD_KIND_I32).rawValue)
        withExtendedLifetime(pool) {}
    }

    @Test func unsignedThatFitsBecomesSigned() throws {
        #expect(try roundTrip(["n": .uint64(7)]) == ["n": .int64(7)])
    }

    @Test func nestingIsBoundedBothWays() throws {
        func nested(_ levels: Int) -> [String: AMQPValue] {
            ["a": (0..<levels).reduce(AMQPValue.void) { value, _ in .array([value]) }]
        }
        #expect(AMQPValue.isEncodable(nested(20)))
        #expect(try roundTrip(nested(20)) == nested(20))
        #expect(!AMQPValue.isEncodable(nested(AMQPValue.maximumDepth + 2)))
        #expect(try roundTrip(nested(AMQPValue.maximumDepth + 2)) == nil)
    }

    @Test func whatIsNotNestedCanBeReadNevertheless() throws {
        let deep = (0..<40).reduce(AMQPValue.void) { value, _ in .array([value]) }
        let pool = Pool()
        let table = try pool.table(["deep": deep, "table": .table(["deep": deep]), "x-stream-offset": 7, "text": "t"])
        let (whole, flat) = (AMQPValue.decode(table), AMQPValue.decodeFlat(table))
        #expect(whole == nil)
        #expect(flat == ["x-stream-offset": 7, "text": "t"])
        withExtendedLifetime(pool) {}
    }

    @Test func encodedSizeIsAnUpperBound() throws {
        let table: [String: AMQPValue] = [
            "a": "text", "b": .array([1, .double(2), .table(["c": .bytes([1, 2, 3])])]), "d": true,
        ]
        let size = AMQPValue.encodedSize(of: table)
        #expect(try Pool().roundTrip(table, limit: size) == table)
    }

    @Test func oversizedPropertiesAreRefusedBeforeTheyAreSent() {
        #expect(throws: AMQPError.self) {
            try AMQPProperties(messageID: String(repeating: "m", count: 256)).validate(frameMax: 4096)
        }
        #expect(throws: AMQPError.self) {
            try AMQPProperties(headers: ["h": .string(String(repeating: "h", count: 4096))]).validate(frameMax: 4096)
        }
        #expect(throws: Never.self) {
            try AMQPProperties(headers: ["h": .string(String(repeating: "h", count: 3000))]).validate(frameMax: 4096)
        }
    }

    @Test func allPropertiesSurviveTheCLayer() throws {
        let properties = AMQPProperties(
            contentType: "application/json", contentEncoding: "utf-8", headers: ["a": .table(["b": 1])], deliveryMode: 2,
            priority: 0, correlationID: "c", replyTo: "r", expiration: "1000", messageID: "m", timestamp: 1, type: "t",
            userID: "u", appID: "")
        let pool = Pool()
        #expect(try AMQPProperties(properties.encode(in: pool)) == properties)
        #expect(try AMQPProperties(AMQPProperties().encode(in: pool)) == AMQPProperties())
    }
}

extension Pool {
    /// Encodes a table to the wire format and decodes it again, both with librabbitmq; nil if it exceeds `limit` bytes.
    fileprivate func roundTrip(_ values: [String: AMQPValue], limit: Int) throws -> [String: AMQPValue]? {
        var input = try table(values)
        var output = amqp_table_t()
        let buffer = try bytes([UInt8](repeating: 0, count: limit))
        var (written, read) = (0, 0)
        guard amqp_encode_table(buffer, &input, &written) == 0 else { return nil }
        guard amqp_decode_table(amqp_bytes_t(len: written, bytes: buffer.bytes), pool, &output, &read) == 0 else { return nil }
        return written == read ? AMQPValue.decode(output) : nil
    }
}
