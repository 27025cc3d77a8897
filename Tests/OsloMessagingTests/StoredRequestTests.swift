import AMQP
import JSON
import Logging
import Synchronization
import Testing

@testable import OsloMessaging

/// Requests that wait for the disk, and what overtakes them.
@Suite(.timeLimit(.minutes(10))) struct StoredRequestTests {
    /// A disk that stores what `store` was called for, in the order of the calls.
    private final class Disk: Sendable {
        private let gate = AsyncStream<Void>.makeStream()
        private let order = Mutex<[String]>([])
        private let full = Mutex(false)

        var received: [String] { order.withLock { $0 } }
        var isFull: Bool {
            get { full.withLock { $0 } }
            set { full.withLock { $0 = newValue } }
        }

        func thaw() { gate.continuation.finish() }

        func receive(_ request: RPCRequest) -> @Sendable () async -> RPCDisposition {
            guard request.method == "store" else { return { .reply(.success("answer")) } }
            order.withLock { $0.append(request.messageID ?? "") }
            return { [self] in
                for await _ in gate.stream {}
                return isFull ? .notStored(reason: "disk full") : .stored
            }
        }
    }

    private func harness(_ disk: Disk, limit: Int = 4) -> ServerHarness {
        ServerHarness(methods: ["store", "ask"], storedMethods: ["store"], limit: limit) { disk.receive($0) }
    }

    private func deliver(_ count: Int, to harness: ServerHarness) {
        for index in 0..<count { harness.transport.deliver(ServerHarness.body("store", id: "\(index)")) }
    }

    @Test func othersOvertakeWhatWaitsForTheDisk() async throws {
        let disk = Disk()
        let harness = harness(disk)
        try await harness.run {
            deliver(5000, to: harness)
            for method in ["oslo_rpc_server_ping", "ask", "nope"] {
                harness.transport.deliver(ServerHarness.body(method, id: method))
            }
            let events = await harness.events(count: 6)
            #expect(events.count == 6)
            #expect(events.contains(.reply(.result("pong"), messageID: "oslo_rpc_server_ping")))
            #expect(events.contains(.reply(.result("answer"), messageID: "ask")))
            #expect(events.contains(.reply(.failure(.noSuchMethod("nope")), messageID: "nope")))
            #expect(disk.received.count == 4)
            disk.thaw()
            _ = await harness.events(count: 5006)
        }
        #expect(disk.received == (0..<5000).map(String.init))
        #expect(harness.events.count { if case .settled(_, .acknowledged) = $0 { true } else { false } } == 5003)
    }

    @Test func whatCannotBeStoredWaitsInItsOrderAndOthersAreAnswered() async throws {
        let disk = Disk()
        disk.isFull = true
        let harness = harness(disk)
        try await harness.run {
            deliver(10, to: harness)
            #expect(await eventually { disk.received.count == 4 })
            disk.thaw()
            #expect(await eventually { harness.server.state == .suspended(reason: "disk full") })
            #expect(!harness.server.isReady)
            harness.transport.deliver(ServerHarness.body("oslo_rpc_server_ping", id: "ping"))
            deliver(1, to: harness)
            #expect(
                await harness.events(count: 2) == [
                    .reply(.result("pong"), messageID: "ping"), .settled(11, .acknowledged),
                ])
            disk.isFull = false
            try await harness.server.resume()
            #expect(harness.server.isReady)
            _ = await harness.events(count: 13)
        }
        #expect(disk.received == ["0", "1", "2", "3"] + (0..<10).map(String.init) + ["0"])
        #expect(harness.server.requeued.count == 0)
    }

    @Test func requestsThatComeBackInAnyOrderAreInThatOfTheirArrival() async throws {
        let backlog = Backlog()
        async let first = backlog.next()
        func entry(_ id: String) throws -> Backlog.Entry {
            let message = InboundMessage(
                body: ServerHarness.body("store", id: id), properties: .oslo, exchange: "", routingKey: "", redelivered: false,
                tag: DeliveryTag(epoch: id == "old" ? 1 : 2, value: 1))
            return Backlog.Entry(message: message, request: try message.request(), bytes: message.body.count, heartbeats: nil)
        }
        var passed: [Backlog.Entry] = []
        for id in ["a", "b", "c"] {
            var numbered = backlog.pass(try entry(id))
            // The reader may not be there yet.
            while numbered == nil { await Task.yield(); numbered = backlog.pass(try entry(id)) }
            passed.append(try #require(numbered))
        }
        backlog.pause()
        for entry in [passed[1], passed[2], passed[0]] { #expect(backlog.putBack(entry)) }
        for id in ["old", "d"] { #expect(backlog.append(try entry(id))) }
        #expect(backlog.takeAll(except: 2).map { $0.request?.messageID } == ["old"])
        #expect(backlog.nextBytes == passed[0].message.body.count)
        backlog.resume()
        #expect(await first?.request?.messageID == "a")
        for id in ["b", "c", "d"] { #expect(await backlog.next()?.request?.messageID == id) }
    }

    @Test func afterASuspensionOneIsTriedAloneUntilOneIsStored() async throws {
        let disk = Disk()
        disk.isFull = true
        disk.thaw()
        let harness = harness(disk)
        try await harness.run {
            deliver(6, to: harness)
            #expect(await eventually { harness.server.state == .suspended(reason: "disk full") })
            for _ in 0..<3 {
                let before = disk.received.count
                try await harness.server.resume()
                #expect(
                    await eventually { harness.server.state == .suspended(reason: "disk full") && disk.received.count > before })
                #expect(disk.received.count == before + 1 && disk.received.last == "0")
            }
            disk.isFull = false
            try await harness.server.resume()
            _ = await harness.events(count: 6)
        }
        #expect(disk.received.suffix(6) == (0..<6).map(String.init)[...])
        #expect(harness.server.storedCount == 6)
    }

    @Test func aDrainedServerDoesNotGoOnAgain() async throws {
        let harness = harness(Disk())
        try await harness.run {
            await harness.server.drain()
            try await harness.server.resume()
            #expect(harness.server.state == .draining)
        }
    }

    @Test func questionsThatNobodyCanAnswerKeepNoRequestFromTheDisk() async throws {
        let disk = Disk()
        disk.thaw()
        let gate = AsyncStream<Void>.makeStream()
        let harness = ServerHarness(methods: ["store", "ask"], storedMethods: ["store"], limit: 4) { request in
            guard request.method == "ask" else { return disk.receive(request) }
            return {
                for await _ in gate.stream {}
                return .reply(.success("answer"))
            }
        }
        try await harness.run {
            for index in 0..<20 { harness.transport.deliver(ServerHarness.body("ask", id: "q\(index)")) }
            harness.transport.deliver(Array("garbage".utf8))
            deliver(3, to: harness)
            #expect(Set(await harness.events(count: 3)) == Set((22...24).map { .settled($0, .acknowledged) }))
            gate.continuation.finish()
            _ = await harness.events(count: 44)
        }
        #expect(harness.events.count { if case .reply(.result("answer"), _) = $0 { true } else { false } } == 20)
        #expect(harness.events.contains(.settled(21, .rejected)))
    }

    @Test func aServerThatIsReleasedGivesBackWhatItHolds() async throws {
        let disk = Disk()
        disk.isFull = true
        disk.thaw()
        let harness = harness(disk)
        try await harness.run {
            deliver(3, to: harness)
            #expect(await eventually { harness.server.state == .suspended(reason: "disk full") })
            // What is under way comes back to the backlog a moment later.
            for _ in 0..<20_000 where harness.events.count < 3 { await harness.server.release() }
        }
        #expect(Set(harness.events) == Set([.settled(1, .requeued), .settled(2, .requeued), .settled(3, .requeued)]))
    }

    @Test func aServerWhoseQueuesGoWithTheirConsumersConsumesOnWhenItIsReleased() async throws {
        let disk = Disk()
        disk.isFull = true
        disk.thaw()
        let harness = ServerHarness(methods: ["store"], storedMethods: ["store"], keepsMessages: false) { disk.receive($0) }
        try await harness.run {
            deliver(1, to: harness)
            #expect(await eventually { harness.server.state == .suspended(reason: "disk full") })
            for _ in 0..<20_000 where harness.events.isEmpty {
                let stay = await harness.server.release()
                #expect(!stay)
            }
            #expect(harness.events == [.settled(1, .requeued)])
            #expect(harness.transport.isReady)
        }
    }

    @Test func onlyAutoDeleteQueuesAreLostWithoutAConsumer() {
        func keepsMessages(_ change: (inout OsloRabbitOptions) -> Void = { _ in }) -> Bool {
            var options = OsloRabbitOptions()
            change(&options)
            let topology = OsloTopology(exchange: "openstack", options: options)
            return AMQPTransport(
                configuration: AMQPConfiguration(endpoints: []), consuming: topology.server(topic: "pivotd", host: "h"),
                publishing: topology.requests, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
            ).keepsMessages
        }
        #expect(keepsMessages())
        #expect(!keepsMessages { $0.autoDelete = true })
    }

    @Test func whatTheBrokerWillDeliverAgainIsDropped() async throws {
        let disk = Disk()
        let harness = harness(disk, limit: 1)
        try await harness.run {
            deliver(1, to: harness)
            let token = harness.transport.deliver(ServerHarness.body("store", id: "stale"))
            harness.transport.deliver(ServerHarness.body("store", id: "last"))
            #expect(await eventually { harness.server.decoded.count == 3 })
            await harness.transport.requeue(token)
            disk.thaw()
            _ = await harness.events(count: 3)
        }
        #expect(disk.received == ["0", "last"])
    }

    @Test func drainingGivesBackWhatWaits() async throws {
        let disk = Disk()
        let harness = harness(disk, limit: 1)
        try await harness.run {
            deliver(3, to: harness)
            #expect(await eventually { harness.server.decoded.count == 3 })
            async let drained: Void = harness.server.drain()
            #expect(await harness.events(count: 1) == [.settled(3, .requeued)])
            disk.thaw()
            await drained
            #expect(Set(harness.events.dropFirst()) == [.settled(1, .acknowledged), .settled(2, .requeued)])
        }
        #expect(disk.received == ["0"])
    }

    @Test func heartbeatsOfAStoredCallGoOnUntilItsFinalReply() async throws {
        let harness = ServerHarness(methods: ["store", "again"], storedMethods: ["store", "again"]) { request in
            { request.method == "store" ? .stored : .known }
        }
        try await harness.run {
            harness.transport.deliver(ServerHarness.body("again", id: "known", timeout: 0.2))
            #expect(await eventually { harness.events.contains(.settled(1, .acknowledged)) })
            let before = harness.events.count
            harness.transport.deliver(ServerHarness.body("store", id: "m", timeout: 0.2))
            _ = await harness.events(count: before + 4)
            let address = ReplyAddress(messageID: "m", replyQueue: "q", timeout: 0.2)
            #expect(await harness.replies.send(result: .success(1), to: address, uniqueID: "u") == .confirmed)
            let count = harness.events.count
            try await Task.sleep(for: .milliseconds(500))
            #expect(harness.events.count == count && harness.events.last == .reply(.result(1), messageID: "m"))
            #expect(harness.events.contains(.reply(.heartbeat, messageID: "m")))
            #expect(!harness.events.dropFirst(before).contains(.reply(.heartbeat, messageID: "known")))
        }
    }

    @Test func afterASuspensionAReplyWhoseCallerIsGoneHoldsUpNoRequest() async throws {
        let tries = Mutex(0)
        let patience = ReplyPublisher.Configuration(retryTimeout: .seconds(600), retryInterval: .milliseconds(10))
        let harness = ServerHarness(
            methods: ["store"], storedMethods: ["store"], replyConfiguration: patience, outcome: { _ in .returned }
        ) { request in
            {
                let isFirst = tries.withLock { count in
                    count += 1
                    return count == 1
                }
                if isFirst { return .notStored(reason: "disk full") }
                return request.messageID == "0" ? .reply(.success("as before"), uniqueID: "u") : .stored
            }
        }
        try await harness.run {
            deliver(1, to: harness)
            #expect(await eventually { if case .suspended = harness.server.state { true } else { false } })
            harness.transport.deliver(ServerHarness.body("store", id: "1"))
            try await harness.server.resume()
            #expect(await harness.events(count: 2) == [.settled(1, .acknowledged), .settled(2, .acknowledged)])
        }
    }
}
