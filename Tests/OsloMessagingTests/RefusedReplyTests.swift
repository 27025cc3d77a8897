import JSON
import Logging
import Synchronization
import Testing

@testable import OsloMessaging

/// Replies that the broker will not take, however often they come.
@Suite(.timeLimit(.minutes(10))) struct RefusedReplyTests {
    private static let address = ReplyAddress(messageID: "m", replyQueue: "q")

    private static func error(_ code: TransportError.Code, isRetriable: Bool = true) -> TransportError {
        TransportError(code: code, message: "\(code.rawValue)", isRetriable: isRetriable)
    }

    @Test(
        "Refused for good: given up at once, and the request is acknowledged",
        arguments: [TransportError.Code.forbidden, .invalid])
    func final(_ code: TransportError.Code) async throws {
        let attempts = Mutex(0)
        let harness = ServerHarness(outcome: { (_) throws(TransportError) -> PublishOutcome in
            attempts.withLock { $0 += 1 }
            throw Self.error(code, isRetriable: false)
        }) { _ in { .reply(.success(1)) } }
        try await harness.run {
            harness.transport.deliver(ServerHarness.body(id: "m"))
            #expect(await harness.events(count: 1) == [.settled(1, .acknowledged)])
        }
        #expect(attempts.withLock { $0 } == 1)
        #expect(harness.replies.givenUp.count == 1)
    }

    @Test(
        "A reply that makes the broker close the connection every time is given up, and the request acknowledged",
        arguments: [(TransportError.Code.suspected, 4), (.lost, 13)])
    func poison(_ code: TransportError.Code, _ limit: Int) async throws {
        let attempts = Mutex(0)
        let harness = ServerHarness(outcome: { (_) throws(TransportError) -> PublishOutcome in
            attempts.withLock { $0 += 1 }
            throw Self.error(code)
        }) { _ in { .reply(.success(1)) } }
        try await harness.run {
            harness.transport.deliver(ServerHarness.body(id: "m"))
            #expect(await harness.events(count: 1) == [.settled(1, .acknowledged)])
        }
        #expect(attempts.withLock { $0 } == limit)
    }

    @Test("An unreachable broker is waited for without limit")
    func patience() async throws {
        let harness = ServerHarness(outcome: { (attempt) throws(TransportError) -> PublishOutcome in
            if attempt < 40 { throw Self.error(.disconnected) }
            return .confirmed
        }) { _ in { .stored } }
        #expect(await harness.replies.send(result: .success(1), to: Self.address, uniqueID: "u") == .confirmed)
    }

    @Test("Other replies in flight are delivered")
    func bystanders() async throws {
        let sending = Mutex<[String: Int]>([:])
        let delivered = Mutex<Set<String>>([])
        let transport = InProcessTransport(onPublish: { (published) throws(TransportError) -> PublishOutcome in
            let id = published.reply?.messageID ?? ""
            sending.withLock { $0[id, default: 0] += 1 }
            for _ in 0..<20 { await Task.yield() }
            let hasPoison = sending.withLock { sending in
                defer { sending[id, default: 1] -= 1 }
                return sending["poison", default: 0] > 0
            }
            // A closed connection takes all that are under way with it.
            if hasPoison { throw Self.error(.suspected) }
            delivered.withLock { _ = $0.insert(id) }
            return .confirmed
        })
        let publisher = ReplyPublisher(
            publisher: transport, configuration: .init(retryInterval: .milliseconds(2)), logger: .init(label: "test"))
        let ids = (0..<40).map { "\($0)" }
        let outcomes = await withTaskGroup(of: (String, ReplyOutcome).self) { group in
            for id in ["poison"] + ids {
                group.addTask {
                    let address = ReplyAddress(messageID: id, replyQueue: "q")
                    return (id, await publisher.send(result: .success(1), to: address, uniqueID: id))
                }
            }
            return await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
        }
        #expect(delivered.withLock { $0 } == Set(ids))
        #expect(ids.allSatisfy { outcomes[$0] == .confirmed })
        guard case .gaveUp = outcomes["poison"] else { Issue.record("\(String(describing: outcomes["poison"]))"); return }
    }

    @Test("A queue reserved for the broker is never published to")
    func reserved() async throws {
        let harness = ServerHarness(outcome: { _ in
            Issue.record("published")
            return .confirmed
        }) { _ in { .reply(.success(1)) } }
        try await harness.run {
            let body = #"{"method": "work", "_msg_id": "m", "_reply_q": "amq.rabbitmq.reply-to.g1h2AAAAAA.xyz"}"#
            harness.transport.deliver(Array(body.utf8))
            #expect(await harness.events(count: 1) == [.settled(1, .rejected)])
        }
        // As a task may have it that was journaled before.
        let address = ReplyAddress(messageID: "m", replyQueue: "amq.rabbitmq.reply-to.x", timeout: 1)
        #expect(harness.replies.startHeartbeats(for: address) == nil)
        guard case .gaveUp = await harness.replies.send(result: .success(1), to: address, uniqueID: "u") else {
            Issue.record("not given up")
            return
        }
    }

    /// Sends with a broker that takes no more than so many bytes.
    private func sent(_ result: Result<JSONValue, RemoteFailure>, limit: Int) async -> (RPCReply?, ReplyOutcome) {
        let delivered = Mutex<RPCReply?>(nil)
        let transport = InProcessTransport(onPublish: { (published) throws(TransportError) -> PublishOutcome in
            guard published.body.count <= limit else { throw Self.error(.tooLarge, isRetriable: false) }
            delivered.withLock { $0 = published.reply }
            return .confirmed
        })
        let publisher = ReplyPublisher(publisher: transport, logger: .init(label: "test"))
        let outcome = await publisher.send(result: result, to: Self.address, uniqueID: "u")
        return (delivered.withLock { $0 }, outcome)
    }

    @Test("A swap's result that is too large comes without its connection_info")
    func tooLargeResult() async throws {
        let blob = JSONValue.string(String(repeating: "x", count: 5000))
        let result: JSONValue = ["task_id": "t", "connection_info": ["data": blob], "copied_bytes": 7, "warnings": ["w"]]
        let (reply, outcome) = await sent(.success(result), limit: 2000)
        #expect(outcome == .confirmed)
        guard case .result(let short) = reply?.content else { Issue.record("\(String(describing: reply))"); return }
        #expect(short["connection_info"] == nil && short["task_id"] == "t" && short["copied_bytes"] == 7)
        #expect(short["warnings"]?.arrayValue?.first == "w" && short["warnings"]?.arrayValue?.count == 2)
        #expect(reply?.uniqueID == "u")
    }

    @Test("A list that is too large becomes a failure that says so")
    func tooLargeList() async throws {
        let swaps = JSONValue.array(Array(repeating: "swap", count: 1000))
        let (reply, _) = await sent(.success(["swaps": swaps]), limit: 2000)
        guard case .failure(let failure) = reply?.content else { Issue.record("\(String(describing: reply))"); return }
        #expect(failure.className == "InvalidInput" && failure.message.contains("max_message_size"))
        #expect(failure.kwargs["reason_code"] == "invalid_argument")
    }

    @Test("A failure that is too large keeps its class and its members for programs")
    func tooLargeFailure() async throws {
        let long = String(repeating: "y", count: 9000)
        let failure = NovaFailure().volumeRebaseFailed(reason: long).adding(["in_use": "old", "left_behind": [.string(long)]])
        let (reply, _) = await sent(.failure(failure), limit: 2500)
        guard case .failure(let short) = reply?.content else { Issue.record("\(String(describing: reply))"); return }
        #expect(short.className == "VolumeRebaseFailed" && short.kwargs["in_use"] == "old" && short.kwargs["code"] == 500)
        #expect(short.message.count <= 257)
    }

    @Test("A reply that cannot be shortened enough is given up")
    func nothingHelps() async throws {
        let (reply, outcome) = await sent(.failure(NovaFailure().invalidInput(reason: "no")), limit: 10)
        #expect(reply == nil && outcome == .gaveUp(reason: "tooLarge"))
    }

    @Test("Quoted parts of a request are truncated")
    func echoes() {
        let long = String(repeating: "x", count: 100_000)
        #expect(Echo.cut(long).unicodeScalars.count == 257)
        #expect(Echo.cut("short") == "short")
        // One character to a reader, however many bytes.
        #expect(Echo.cut("e" + String(repeating: "\u{301}", count: 100_000)).unicodeScalars.count == 257)
        #expect(RemoteFailure.noSuchMethod(long).message.count < 400)
        #expect(RemoteFailure.unsupportedVersion(long, method: long).message.count < 700)
        let reason = Echo.cutWords(of: "disk vdb, \(long) to \(long): no")
        #expect(reason.count == "disk vdb,  to : no".count + 257 + 256 + 1 - 1)
        #expect(Echo.cutWords(of: String(repeating: "a ", count: 100_000)).count <= 2049)
        #expect(Echo.cutWords(of: "disk vdb: as it was") == "disk vdb: as it was")
    }

    @Test("Quoted strings of a request are truncated as a whole, also with blanks in them")
    func quotations() {
        let blanks = "/v/" + String(repeating: "a ", count: 2000)
        let args: JSONObject = ["data": ["paths": ["/v", .string(blanks)], "name": .string(String(blanks.dropLast(2000)))]]
        let reason = Echo.cut("\(blanks) does not exist, \(blanks)x neither", quoting: args)
        #expect(reason == "\(Echo.cut(blanks)) does not exist, \(Echo.cut(blanks))x neither")
        #expect(Echo.cut("/v does not exist", quoting: args) == "/v does not exist")
        let combined = "\u{301} " + String(repeating: "e\u{301} ", count: 200)
        #expect(Echo.cut("'\(combined)' is wrong", quoting: ["name": .string(combined)]).unicodeScalars.count < 300)
    }
}
