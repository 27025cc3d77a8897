import AMQP
import JSON
import Logging
import OsloMessaging
import Synchronization
import Testing

@Suite(.timeLimit(.minutes(10))) struct RPCClientTests {
    /// A client whose requests are answered by `server`, which gets the request and the client's transport.
    private func withClient(
        server: @escaping @Sendable (RPCRequest, InProcessTransport) async -> PublishOutcome,
        _ body: (RPCClient) async throws -> Void
    ) async throws {
        let box = TransportBox()
        let transport = InProcessTransport(onPublish: { message in
            guard let request = try? RPCRequest(decoding: message.body), let transport = box.transport else { return .returned }
            return await server(request, transport)
        })
        box.transport = transport
        let client = RPCClient(
            transport: transport, exchange: "openstack", replyQueue: RPCClient.makeReplyQueueName(),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        try await withThrowingTaskGroup { group in
            group.addTask { try await client.run() }
            try await body(client)
            await client.close()
            try await group.waitForAll()
        }
    }

    private final class TransportBox: Sendable {
        private let value = Mutex<InProcessTransport?>(nil)
        var transport: InProcessTransport? {
            get { value.withLock { $0 } }
            set { value.withLock { $0 = newValue } }
        }
    }

    private static func answer(_ request: RPCRequest, _ content: RPCReply.Content) -> [UInt8] {
        RPCReply(messageID: request.messageID ?? "", uniqueID: UniqueID.random(), content: content).encoded()
    }

    @Test func aCallReturnsItsResult() async throws {
        try await withClient { request, transport in
            transport.deliver(Self.answer(request, .result(["echo": .object(request.args)])))
            return .confirmed
        } _: { client in
            let result = try await client.call("m", args: ["a": 1], target: .init(topic: "pivotd"), timeout: .seconds(60))
            #expect(result == ["echo": ["a": 1]])
        }
    }

    @Test func aRequestExpiresWhenNobodyWaitsForItAnyMore() async throws {
        let sent = Mutex<[Int?]>([])
        let transport = InProcessTransport(onPublish: { message in
            sent.withLock { $0.append(message.properties.expiration.flatMap { Int($0) }) }
            return .returned
        })
        let client = RPCClient(
            transport: transport, exchange: "e", replyQueue: "q", logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        let target = RPCClient.Target(topic: "t")
        for (timeout, monitor) in [(5000, nil), (5000, 30), (30, 5000), (Int.max >> 12, nil)] as [(Int, Int?)] {
            _ = try? await client.call(
                "m", target: target, timeout: .seconds(timeout), callMonitorTimeout: monitor.map { .seconds($0) })
        }
        try? await client.cast("m", target: target, timeout: .seconds(30))
        try? await client.cast("m", target: target)
        let limits = [5_000_000, 30_000, 30_000, 4_294_967_295, 30_000, nil]
        let expirations = sent.withLock { $0 }
        #expect(expirations.count == limits.count)
        for (expiration, limit) in zip(expirations, limits) {
            guard let expiration, let limit else {
                #expect(expiration == limit)
                continue
            }
            // What is left of it when the message is published.
            #expect((1...limit).contains(expiration) && expiration > limit / 5)
        }
    }

    @Test func aFailureIsThrown() async throws {
        let failure = NovaFailure().diskNotFound(location: "vdb")
        try await withClient { request, transport in
            transport.deliver(Self.answer(request, .failure(failure)))
            return .confirmed
        } _: { client in
            await #expect(throws: failure) {
                _ = try await client.call("m", target: .init(topic: "pivotd"), timeout: .seconds(60))
            }
        }
    }

    @Test func anUnroutableRequestSaysSo() async throws {
        try await withClient { _, _ in
            .returned
        } _: { client in
            let error = await #expect(throws: RPCClientError.self) {
                _ = try await client.call("m", target: .init(topic: "pivotd", host: "h"), timeout: .seconds(60))
            }
            #expect(error?.description == "no pivotd listens on pivotd.h (exchange openstack)")
        }
    }

    @Test func silenceAndSlownessAreTimeouts() async throws {
        try await withClient { _, _ in
            .confirmed
        } _: { client in
            await #expect(throws: RPCClientError.timedOut(seconds: 0.05)) {
                _ = try await client.call("m", target: .init(topic: "t"), timeout: .milliseconds(50))
            }
            await #expect(throws: RPCClientError.silent(seconds: 0.05)) {
                _ = try await client.call(
                    "m", target: .init(topic: "t"), timeout: .seconds(50), callMonitorTimeout: .milliseconds(50))
            }
        }
    }

    @Test func heartbeatsKeepACallAlive() async throws {
        try await withClient { request, transport in
            // In all longer than the caller would bear silence, which in turn is long against a busy machine's pauses.
            for _ in 0..<60 {
                transport.deliver(Self.answer(request, .heartbeat))
                try? await Task.sleep(for: .milliseconds(60))
            }
            transport.deliver(Self.answer(request, .result(1)))
            return .confirmed
        } _: { client in
            let result = try await client.call(
                "m", target: .init(topic: "t"), timeout: .seconds(50), callMonitorTimeout: .seconds(3))
            #expect(result == 1)
        }
    }

    @Test func theEndOfTheClientEndsItsCalls() async throws {
        try await withClient { _, _ in
            .confirmed
        } _: { client in
            try await withThrowingTaskGroup { group in
                group.addTask { try await client.call("m", target: .init(topic: "t"), timeout: .seconds(50)) }
                try await Task.sleep(for: .milliseconds(20))
                await client.close()
                await #expect(throws: RPCClientError.closed) { _ = try await group.next() }
            }
        }
    }
}
