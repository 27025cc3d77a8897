import AMQP
import CZlib
import Testing

@testable import OsloMessaging

@Suite struct KombuCompressionTests {
    /// As kombu's `gzip`.
    static func compressed(_ body: [UInt8]) -> [UInt8] {
        var length = compressBound(uLong(body.count))
        var result = [UInt8](repeating: 0, count: Int(length))
        #expect(compress(&result, &length, body, uLong(body.count)) == Z_OK)
        return Array(result.prefix(Int(length)))
    }

    static func properties(_ kind: String?) -> AMQPProperties {
        var properties = AMQPProperties.oslo
        if let kind { properties.headers["compression"] = .string(kind) }
        return properties
    }

    @Test(arguments: [ServerHarness.body(id: "m1"), Array("{\"a\": \"\(String(repeating: "é", count: 9000))\"}".utf8)])
    func aCompressedBodyIsReadAsItWas(body: [UInt8]) throws {
        let read = KombuCompression.decompress(Self.compressed(body), Self.properties("application/x-gzip"), limit: 20_000)
        #expect(read == .decompressed(body))
        #expect(KombuCompression.decompress(body, Self.properties(nil), limit: 20_000) == .plain)
    }

    @Test func whatCannotBeReadIsRefused() {
        let bomb = Self.compressed([UInt8](repeating: 32, count: 1 << 20))
        let body = ServerHarness.body(id: "m1")
        for (body, kind) in [(bomb, "application/x-gzip"), (body, "application/x-gzip"), (body, "application/x-bz2")] {
            let read = KombuCompression.decompress(body, Self.properties(kind), limit: (1 << 20) - 1)
            guard case .unreadable = read else { return #expect(Bool(false), "\(read)") }
        }
    }
}
