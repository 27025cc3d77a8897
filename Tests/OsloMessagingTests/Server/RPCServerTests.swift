import JSON
import Synchronization
import Testing

@testable import OsloMessaging

@Suite(.timeLimit(.minutes(10))) struct RPCServerTests {
    @Test func aCallIsAnsweredAndThenAcknowledged() async throws {
        let harness = ServerHarness { _ in { .reply(.success(["ok": true])) } }
        try await harness.run {
            harness.transport.deliver(ServerHarness.body(id: "m"))
            #expect(
                await harness.events(count: 2) == [
                    .reply(.result(["ok": true]), messageID: "m"), .settled(1, .acknowledged),
                ])
        }
        #expect(harness.replies.confirmed.count == 1)
    }

    @Test func aCastGetsNoReply() async throws {
        let harness = ServerHarness { _ in { .reply(.success(1)) } }
        try await harness.run {
            harness.transport.deliver(ServerHarness.body())
            #expect(await harness.events(count: 1) == [.settled(1, .acknowledged)])
        }
        #expect(harness.events.count == 1)
    }

    @Test func garbageIsRejectedAndTheServerGoesOn() async throws {
        let harness = ServerHarness { _ in { .reply(.success(1)) } }
        try await harness.run {
            harness.transport.deliver(Array("garbage".utf8))
            #expect(await harness.events(count: 1) == [.settled(1, .rejected)])
            harness.transport.deliver(Array(#"{"args": 5, "_msg_id": "m", "_reply_q": "q", "method": "work"}"#.utf8))
            let reason = "args: must be an object, is of type integer"
            let refusal = NovaFailure().invalidInput(reason: reason).adding([
                "task_id": .null, "reason_code": "invalid_argument", "retryable": false, "in_use": "unknown", "left_behind": [],
            ])
            #expect(
                await harness.events(count: 3).suffix(2) == [
                    .settled(2, .rejected),
                    .reply(.failure(refusal), messageID: "m"),
                ])
            harness.transport.deliver(ServerHarness.body(id: "n"))
            _ = await harness.events(count: 5)
        }
        #expect(harness.server.rejected.count == 2)
        #expect(harness.server.decoded.count == 1)
    }

    @Test func aStoredRequestIsAcknowledgedWithoutReply() async throws {
        let harness = ServerHarness { _ in { .stored } }
        try await harness.run {
            harness.transport.deliver(ServerHarness.body(id: "m"))
            #expect(await harness.events(count: 1) == [.settled(1, .acknowledged)])
        }
        #expect(harness.events.count == 1)
    }

    @Test func aRequestStoredBeforeIsAnsweredWithItsFirstReplysIDAndThenAcknowledged() async throws {
        let harness = ServerHarness(storedMethods: ["work"]) { _ in { .reply(.success(1), uniqueID: "first") } }
        try await harness.run {
            harness.transport.deliver(ServerHarness.body(id: "m"))
            #expect(await harness.events(count: 2) == [.reply(.result(1), messageID: "m"), .settled(1, .acknowledged)])
        }
        #expect(harness.replyIDs == ["first"])
    }

    @Test(arguments: [
        (ServerHarness.body("nope", id: "m"), RemoteFailure.noSuchMethod("nope")),
        (ServerHarness.body("work", id: "m", version: "1.1"), .unsupportedVersion("1.1", method: "work")),
        (ServerHarness.body("work", id: "m", version: "x"), .unsupportedVersion("x", method: "work")),
        (ServerHarness.body("work", id: "m", namespace: "n"), .unsupportedVersion("1.0", method: "work")),
        (
            ServerHarness.body("oslo_rpc_server_ping", id: "m", version: "2.0"),
            .unsupportedVersion("2.0", method: "oslo_rpc_server_ping")
        ),
    ])
    func unknownMethodsAndVersionsAreRefusedAsOsloDoes(_ body: [UInt8], _ failure: RemoteFailure) async throws {
        let harness = ServerHarness { _ in { .reply(.success(1)) } }
        try await harness.run {
            harness.transport.deliver(body)
            #expect(await harness.events(count: 2).first == .reply(.failure(failure), messageID: "m"))
        }
    }

    @Test func pingIsAnswered() async throws {
        let harness = ServerHarness { _ in { .reply(.success(1)) } }
        try await harness.run {
            harness.transport.deliver(ServerHarness.body("oslo_rpc_server_ping", id: "m", version: nil))
            #expect(await harness.events(count: 2).first == .reply(.result("pong"), messageID: "m"))
        }
    }

    @Test func requestsAreReceivedInOrderAndWorkedOnSideBySide() async throws {
        let order = Mutex<[String]>([])
        let gate = AsyncStream<Void>.makeStream()
        let harness = ServerHarness(limit: 4) { request in
            order.withLock { $0.append(request.messageID ?? "") }
            let isFirst = request.messageID == "0"
            return {
                if isFirst { for await _ in gate.stream {} }
                return .reply(.success(1))
            }
        }
        try await harness.run {
            for index in 0..<50 { harness.transport.deliver(ServerHarness.body(id: "\(index)")) }
            _ = await harness.events(count: 98)
            #expect(!harness.events.contains(.settled(1, .acknowledged)))
            gate.continuation.finish()
            _ = await harness.events(count: 100)
        }
        #expect(order.withLock { $0 } == (0..<50).map(String.init))
    }

    @Test func aQuestionThatTakesLongIsAcknowledgedBeforeItsAnswer() async throws {
        let gate = AsyncStream<Void>.makeStream()
        let harness = ServerHarness(answerPatience: .milliseconds(1)) { _ in
            {
                for await _ in gate.stream {}
                return .reply(.success(1))
            }
        }
        try await harness.run {
            harness.transport.deliver(ServerHarness.body(id: "m1"))
            #expect(await harness.events(count: 1) == [.settled(1, .acknowledged)])
            gate.continuation.finish()
            let events = await harness.events(count: 2)
            #expect(events == [.settled(1, .acknowledged), .reply(.result(1), messageID: "m1")])
        }
    }

    @Test func aReplyThatTheBrokerDoesNotTakeHoldsUpNoOtherRequest() async throws {
        let isTaken = Mutex(false)
        let (arrivals, arrive) = AsyncStream<Void>.makeStream()
        let harness = ServerHarness(
            storedMethods: ["work"], limit: 1, answerPatience: .milliseconds(1), replyPatience: .milliseconds(5),
            outcome: { _ throws(TransportError) in
                guard isTaken.withLock(\.self) else {
                    throw TransportError(code: .refused, message: "the queue is full", isRetriable: true)
                }
                return .confirmed
            }
        ) { _ in
            arrive.yield()
            return { .reply(.success(1)) }
        }
        try await harness.run {
            for id in ["m1", "m2"] { harness.transport.deliver(ServerHarness.body(id: id)) }
            for await _ in arrivals.prefix(2) {}
            // Both messages, so that the broker does not wait for them either.
            #expect(Set(await harness.events(count: 2).map { "\($0)" }).count == 2)
            isTaken.withLock { $0 = true }
            let replies = await harness.events(count: 4).filter { if case .reply = $0 { true } else { false } }
            #expect(replies.count == 2)
        }
    }

    @Test func requestsThatAskOthersHoldUpOnlyEachOther() async throws {
        let (silence, silent) = AsyncStream<Void>.makeStream()
        let harness = ServerHarness(methods: ["work", "ask"], slowMethods: ["ask"], limit: 2) { request in
            { () async -> RPCDisposition in
                if request.method == "ask" { for await _ in silence {} }
                return .reply(.success(.string(request.method)))
            }
        }
        try await harness.run {
            for index in 0..<8 { harness.transport.deliver(ServerHarness.body("ask", id: "\(index)")) }
            harness.transport.deliver(ServerHarness.body(id: "m"))
            harness.transport.deliver(ServerHarness.body(RPCServer.pingMethod, id: "ping"))
            let events = await harness.events(count: 4)
            #expect(events.contains(.reply(.result("work"), messageID: "m")))
            #expect(events.contains(.reply(.result("pong"), messageID: "ping")))
            silent.finish()
            #expect(await harness.events(count: 20).count == 20)
        }
    }

    @Test func atMostTheLimitIsWorkedOnAtOnce() async throws {
        let running = Mutex((now: 0, most: 0))
        let harness = ServerHarness(limit: 3) { _ in
            {
                running.withLock { $0 = ($0.now + 1, max($0.most, $0.now + 1)) }
                try? await Task.sleep(for: .milliseconds(5))
                running.withLock { $0.now -= 1 }
                return .reply(.success(1))
            }
        }
        try await harness.run {
            for _ in 0..<20 { harness.transport.deliver(ServerHarness.body()) }
            _ = await harness.events(count: 20)
        }
        #expect(running.withLock { $0.most } == 3)
    }

    @Test func atMostSoManyBytesAreWorkedOnAtOnceButOneAlways() async throws {
        let limit = DispatchLimit(100, bytes: 10)
        let (admitted, log) = AsyncStream<Int>.makeStream()
        var order = admitted.makeAsyncIterator()
        await limit.acquire(25)
        let waiting = [6, 5].map { size in
            Task {
                await limit.acquire(size)
                log.yield(size)
            }
        }
        limit.release(25)
        let first = try #require(await order.next())
        // Both at once would be too much.
        limit.release(first)
        let second = try #require(await order.next())
        #expect(Set([first, second]) == [5, 6])
        limit.release(second)
        await limit.waitUntilIdle()
        for task in waiting { await task.value }
    }

    @Test func whatCannotBeReadIsAnsweredWhereItNamesItsCaller() async throws {
        let harness = ServerHarness { _ in { .reply(.success(1)) } }
        try await harness.run {
            harness.transport.deliver(Array(#"{"method": "work", "args": NaN, "_msg_id": "m", "_reply_q": "q"}"#.utf8))
            let events = await harness.events(count: 2)
            #expect(events.first == .settled(1, .rejected))
            guard case .reply(.failure(let failure), "m") = events.last else { Issue.record("\(events)"); return }
            #expect(failure.className == "InvalidInput" && failure.message.contains("not JSON"))
        }
    }

    @Test func aReturnedReplyIsAcknowledgedAtOnceAndRetried() async throws {
        let patient = ReplyPublisher.Configuration(retryTimeout: .seconds(60), retryInterval: .milliseconds(10))
        let harness = ServerHarness(
            limit: 1, replyConfiguration: patient, outcome: { $0 < 3 ? .returned : .confirmed }
        ) { _ in { .reply(.success(1)) } }
        try await harness.run {
            harness.transport.deliver(ServerHarness.body(id: "m"))
            #expect(
                await harness.events(count: 2) == [.settled(1, .acknowledged), .reply(.result(1), messageID: "m")])
        }
        #expect(harness.replies.returned.count == 3)
    }

    /// Says when nothing refers to it any more.
    private final class Trace: Sendable {
        private let onEnd: @Sendable () -> Void
        init(onEnd: @escaping @Sendable () -> Void) { self.onEnd = onEnd }
        deinit { onEnd() }
    }

    @Test(arguments: [[], ["work"]] as [Set<String>])
    func aReplyThatWaitsForItsCallerKeepsNothingOfItsRequest(storedMethods: Set<String>) async throws {
        let isGone = Mutex(false)
        let patient = ReplyPublisher.Configuration(retryTimeout: .seconds(600), retryInterval: .milliseconds(10))
        let harness = ServerHarness(
            storedMethods: storedMethods, replyConfiguration: patient, outcome: { _ in .returned }
        ) { _ in
            let trace = Trace { isGone.withLock { $0 = true } }
            return { () async -> RPCDisposition in
                withExtendedLifetime(trace) {}
                return .reply(.success(1))
            }
        }
        try await harness.run {
            harness.transport.deliver(ServerHarness.body(id: "m"))
            #expect(await eventually { harness.replies.returned.count > 1 })
            #expect(await eventually { isGone.withLock { $0 } })
        }
    }

    @Test func aReplyWhoseCallerIsGoneIsGivenUp() async throws {
        let harness = ServerHarness(outcome: { _ in .returned }) { _ in { .stored } }
        let address = ReplyAddress(messageID: "m", replyQueue: "q")
        let outcome = await harness.replies.send(result: .success(1), to: address, uniqueID: "u")
        guard case .gaveUp = outcome else {
            Issue.record("\(outcome)")
            return
        }
        let attempts = harness.replies.returned.count
        #expect(attempts > 1)
        // The queue is known as gone now: one attempt, no more waiting.
        guard case .gaveUp = await harness.replies.send(result: .success(1), to: address, uniqueID: "u") else {
            Issue.record("not given up")
            return
        }
        #expect(harness.replies.returned.count == attempts + 1)
        #expect(harness.replies.givenUp.count == 2)
    }

    @Test func aLostBrokerIsWaitedFor() async throws {
        let lost = TransportError(code: .disconnected, message: "lost", isRetriable: true)
        let harness = ServerHarness(outcome: { (attempt) throws(TransportError) -> PublishOutcome in
            if attempt < 5 { throw lost }
            return .confirmed
        }) { _ in { .stored } }
        let address = ReplyAddress(messageID: "m", replyQueue: "q")
        #expect(await harness.replies.send(result: .success(1), to: address, uniqueID: "u") == .confirmed)
    }

    @Test func cancellationLeavesAReplyOwed() async throws {
        let harness = ServerHarness(
            replyConfiguration: .init(retryTimeout: .seconds(60)), outcome: { _ in .returned }
        ) { _ in { .stored } }
        let sending = Task {
            await harness.replies.send(
                result: .success(1), to: ReplyAddress(messageID: "m", replyQueue: "q"), uniqueID: "u")
        }
        sending.cancel()
        #expect(await sending.value == .interrupted)
    }

    @Test func heartbeatsComeUntilTheFinalReplyAndNeverAfter() async throws {
        let enough = AsyncStream<Void>.makeStream()
        let harness = ServerHarness { _ in
            {
                for await _ in enough.stream {}
                return .reply(.success("done"))
            }
        }
        try await harness.run {
            harness.transport.deliver(ServerHarness.body(id: "m", timeout: 0.2))
            _ = await harness.events(count: 3)
            enough.continuation.finish()
            let isOver = await eventually { harness.events.last == .settled(1, .acknowledged) }
            #expect(isOver)
            let events = harness.events
            #expect(events.dropLast().last == .reply(.result("done"), messageID: "m"))
            #expect(events.dropLast(2).allSatisfy { $0 == .reply(.heartbeat, messageID: "m") })
            #expect(events.count >= 5)
            try await Task.sleep(for: .milliseconds(1200))
            #expect(harness.events == events)
        }
        #expect(harness.replies.heartbeats.count == harness.events.count - 2)
    }

    @Test func heartbeatsEndWhenTheirQueueIsNotThere() async throws {
        let attempts = Mutex<[String: Int]>([:])
        let monitor = CallMonitor { address in
            attempts.withLock { $0[address.replyQueue, default: 0] += 1 }
            switch address.replyQueue {
            case "gone": return .returned
            case "away": return .unsent
            default: return .delivered
            }
        }
        let running = Task { await monitor.run() }
        let tokens = ["here", "gone", "away"].map { queue in
            monitor.start(ReplyAddress(messageID: "m", replyQueue: queue, timeout: 1))
        }
        #expect(await eventually { attempts.withLock { $0["here", default: 0] >= 5 && $0["away", default: 0] >= 5 } })
        #expect(attempts.withLock { $0["gone"] } == 3)
        for token in tokens.compactMap(\.self) { await monitor.stop(token) }
        running.cancel()
        await running.value
    }

    @Test func drainingWaitsForWorkAndGivesTheRestBack() async throws {
        let gate = AsyncStream<Void>.makeStream()
        let harness = ServerHarness { _ in
            {
                for await _ in gate.stream {}
                return .reply(.success(1))
            }
        }
        try await harness.run {
            harness.transport.deliver(ServerHarness.body(id: "m"))
            #expect(await eventually { harness.server.decoded.count == 1 })
            async let drained: Void = harness.server.drain()
            #expect(await eventually { harness.server.state == .draining })
            harness.transport.deliver(ServerHarness.body(id: "n"))
            #expect(await harness.events(count: 1) == [.settled(2, .requeued)])
            gate.continuation.finish()
            await drained
            #expect(harness.events.last == .settled(1, .acknowledged))
        }
    }
}
