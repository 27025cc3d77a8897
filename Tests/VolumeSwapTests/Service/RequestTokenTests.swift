import JSON
import Testing

@testable import VolumeSwap

@Suite("request_token", .timeLimit(.minutes(10)))
struct RequestTokenTests {
    static let token = "2b1f9d0e-6a1c-4c53-9d84-0f1d6f7c9a10"

    /// As SwapBus makes it: the token is the id.
    static func record(_ message: String, _ more: JSONObject = [:]) -> SwapRecord {
        var record = Fixture.record(token, more)
        record.args["request_token"] = .string(token)
        record.replyTo = ReplyTo(messageID: message, queue: "reply", timeout: nil)
        return record
    }

    @Test("A UUID in any case names the task; anything else is refused")
    func shape() throws {
        #expect(try SwapRequest.token(["request_token": .string(Self.token.uppercased())]) == TaskID(Self.token))
        #expect(try SwapRequest.token([:]) == nil && SwapRequest.token(["request_token": nil]) == nil)
        for value in ["x", 7, ["a"]] as [JSONValue] {
            let failure = Fixture.failure { _ = try SwapRequest.token(["request_token": value]) }
            #expect(failure?.kind == .invalidInput && failure?.reason.hasPrefix("request_token: ") == true)
        }
    }

    @Test("A resend, by whatever message, starts nothing and gets the same answer; secrets of a settled task do not count")
    func resend() async throws {
        let bench = ServiceBench()
        try await bench.running { (_: SwapService) async throws in
            #expect(await bench.submit(Self.record("m-1")) == "accepted")
            let first = try await bench.nextReply()
            _ = try await bench.nextSettlement()
            var again = Self.record("m-2")
            again.args["request_token"] = .string(Self.token.uppercased())
            #expect(await bench.submit(again) == "ended")
            let second = try await bench.nextReply()
            #expect(second.replyTo.messageID == "m-2" && second.outcome == first.outcome)
        }
        #expect(bench.bench.hypervisor.log.filter { $0 == "copy" }.count == 1)
    }

    @Test("The same token with other arguments is invalid input, while the task runs and after it", arguments: [true, false])
    func other(hasEnded: Bool) async throws {
        let bench = ServiceBench()
        try await bench.running { (_: SwapService) async throws in
            #expect(await bench.submit(Self.record("m-1")) == "accepted")
            if hasEnded {
                _ = try await bench.nextReply()
                _ = try await bench.nextSettlement()
            }
            #expect(await bench.submit(Self.record("m-2", ["resize_to": 5])) == "ended")
            var replies = [try await bench.nextReply()]
            if !hasEnded { replies.append(try await bench.nextReply()) }
            let refused = try #require(replies.first { $0.replyTo.messageID == "m-2" })
            guard case .failure(let failure) = refused.outcome else { return #expect(Bool(false), "not refused") }
            #expect(failure.kind == .invalidInput)
            if !hasEnded { #expect(replies.first { $0.replyTo.messageID == "m-1" }?.outcome.result != nil) }
        }
        #expect(bench.bench.hypervisor.log.filter { $0 == "copy" }.count == 1)
    }

    @Test("The same request in other words is the same")
    func words() async throws {
        let bench = ServiceBench()
        try await bench.running { (_: SwapService) async throws in
            #expect(await bench.submit(Self.record("m-1", ["mountpoint": "/dev/vdb"])) == "accepted")
            _ = try await bench.nextReply()
            _ = try await bench.nextSettlement()
            let more: JSONObject = [
                "mountpoint": "vdb", "resize_to": 0, "options": [:], "instance": ["uuid": .string(Fixture.uuid.uppercased())],
            ]
            #expect(await bench.submit(Self.record("m-2", more)) == "ended")
            #expect(try await bench.nextReply().outcome.result != nil)
        }
    }

    @Test("Requests and resends that arrive together are each answered, and carried out once")
    func together() async throws {
        let bench = ServiceBench()
        try await bench.running { (_: SwapService) async throws in
            let submissions = await withTaskGroup(of: String.self) { group in
                for number in 1...20 { group.addTask { await bench.submit(Self.record("m-\(number)")) } }
                return await group.reduce(into: [String]()) { $0.append($1) }
            }
            #expect(submissions.filter { $0 == "accepted" }.count == 1 && !submissions.contains("not stored"))
            var answered: Set<String> = []
            for _ in 1...20 { answered.insert(try await bench.nextReply().replyTo.messageID) }
            #expect(answered.count == 20)
        }
        #expect(bench.bench.hypervisor.log.filter { $0 == "copy" }.count == 1)
    }
}
