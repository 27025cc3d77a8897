import CZlib
import JSON
import Synchronization
import Testing

@testable import AMQP
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

    private static func message(_ body: [UInt8], _ kind: String? = "application/x-gzip") -> InboundMessage {
        let delivery = AMQPDelivery(
            message: AMQPMessage(body: body, properties: properties(kind)), exchange: "", routingKey: "", redelivered: false,
            consumerTag: "", tag: DeliveryTag(epoch: 1, value: 1), refusal: nil)
        return InboundMessage(delivery: delivery, limit: 1 << 20)
    }

    @Test func aCompressedBodyStaysSoWhileItWaitsAndItsRequestIsKeptIfItIsSmallWithoutItsCompression() throws {
        let backlog = Backlog()
        let small = ServerHarness.body(id: "m1")
        let bodies = [small, ServerHarness.body(id: "m2") + [UInt8](repeating: 32, count: 300 << 10)]
        for body in bodies {
            let message = Self.message(Self.compressed(body))
            let plain = message.decompressed
            #expect(plain.body == body && plain.properties == .oslo)
            let request = try message.request()
            #expect(backlog.append(Backlog.Entry(message: message, request: request, bytes: body.count, heartbeats: nil)))
        }
        #expect(backlog.nextBytes == small.count)
        let entries = backlog.takeAll()
        #expect(entries.map { $0.request?.messageID } == ["m1", nil])
        #expect(entries.map(\.message.body) == bodies.map(Self.compressed))
    }

    @Test func smallCompressedRequestsAreStoredTogether() async throws {
        let (gates, gate) = AsyncStream<Void>.makeStream()
        let received = Mutex(0)
        let harness = ServerHarness(methods: ["store"], storedMethods: ["store"]) { _ in
            received.withLock { $0 += 1 }
            return {
                for await _ in gates {}
                return .stored
            }
        }
        try await harness.run {
            for index in 0..<16 {
                let body = Self.compressed(ServerHarness.body("store", id: "\(index)"))
                harness.transport.deliver(body, properties: Self.properties("application/x-gzip"))
            }
            #expect(await eventually { received.withLock { $0 } == 16 })
            gate.finish()
            #expect(await harness.events(count: 16).count == 16)
        }
    }

    @Test func aCompressedCallIsAnsweredAlsoIfItIsNotJSON() async throws {
        let harness = ServerHarness { _ in { .reply(.success(1)) } }
        try await harness.run {
            let garbage = Array(#"{"method": "work", "args": NaN, "_msg_id": "m2", "_reply_q": "q"}"#.utf8)
            for body in [ServerHarness.body(id: "m1"), garbage] {
                harness.transport.deliver(Self.compressed(body), properties: Self.properties("application/x-gzip"))
            }
            let events = await harness.events(count: 4)
            #expect(events.contains(.reply(.result(1), messageID: "m1")))
            #expect(events.contains { if case .reply(.failure(_), messageID: "m2") = $0 { true } else { false } })
        }
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
