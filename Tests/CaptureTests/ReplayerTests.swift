import Foundation
import JSON
import OsloMessaging
import Synchronization
import Testing

@testable import Capture

@Suite(.timeLimit(.minutes(10))) struct ReplayerTests {
    /// Answers each call with its arguments, at once.
    final class Echo: ReplayTarget {
        let sent = Mutex<[ReplayMessage]>([])

        func send(_ message: ReplayMessage, completion: @escaping @Sendable (ReplayOutcome) -> Void) async {
            sent.withLock { $0.append(message) }
            guard case .request(let request) = message.content else { return completion(.rejected(reason: "garbage")) }
            let reply = RPCReply(messageID: "", uniqueID: "", content: .result(.object(request.args)))
            completion(.reply(reply.content, body: reply.encoded()))
        }

        func finish() async {}
    }

    static func reply(_ messageID: String, _ result: JSONValue) -> CaptureLine {
        let reply = RPCReply(messageID: messageID, uniqueID: "x", content: .result(result))
        return CaptureLine(capturedAt: nil, exchange: "", routingKey: "reply_1", body: .init(reply.encoded()))
    }

    static func request(_ number: Int, at seconds: Double = 0, _ args: JSONObject = [:]) -> CaptureLine {
        var line = MessageTests.request("get", args, ["_msg_id": .string("m\(number)"), "_unique_id": .string("u\(number)")])
        line.capturedAt = Date(timeIntervalSince1970: 1_795_395_522 + seconds)
        return line
    }

    static func replay(
        _ lines: [CaptureLine], _ target: any ReplayTarget, _ change: (inout Replayer.Options) -> Void = { _ in }
    ) async throws -> (Replayer.Summary, differences: [String]) {
        let file = try TemporaryFile("c.jsonl", lines.map { $0.json.serialized() + "\n" }.joined())
        var options = Replayer.Options()
        options.speed = .max
        change(&options)
        let differences = DifferenceList()
        let replayer = Replayer(target: target, options: options) { event in
            if case .difference(_, let text) = event { differences.texts.withLock { $0.append(text) } }
        }
        let summary = try await replayer.replay([try CaptureReader(path: file.path)])
        return (summary, differences.texts.withLock { $0 })
    }

    final class DifferenceList: Sendable {
        let texts = Mutex<[String]>([])
    }

    @Test func replaysRequestsInOrderAndComparesAnswers() async throws {
        let target = Echo()
        let lines = [
            Self.request(1, ["a": 1, "duration_s": 5]), Self.reply("m1", ["a": 1, "duration_s": 7]), Self.reply("m2", ["a": 2]),
            Self.request(2, ["a": 3]), Self.request(3),
            CaptureLine(capturedAt: nil, exchange: "e", routingKey: "", body: .bytes([1])),
        ]
        let (summary, differences) = try await Self.replay(lines, target)
        #expect(target.sent.withLock { $0.map(\.number) } == [1, 2, 3, 4])
        #expect(summary.requests == 4 && summary.succeeded == 3 && summary.rejected == 1 && summary.skipped == 2)
        #expect(summary.compared == 2 && summary.differences == 1 && summary.uncompared == 1)
        #expect(differences.count == 1)
        #expect(differences[0].contains(#"-     "a": 2"#) && differences[0].contains(#"+     "a": 3"#), "\(differences)")
    }

    static func question(_ number: Int, _ answer: JSONObject) -> CaptureLine {
        MessageTests.request("get_swap", answer, ["_msg_id": .string("m\(number)"), "_unique_id": .string("u\(number)")])
    }

    static let ended: JSONObject = [
        "task_id": "t1", "state": "completed", "strategy": "copy", "finished_at": "1", "progress": ["copied_bytes": 1],
        "result": ["capacity_bytes": 7, "duration_s": 1.5], "failure": nil,
    ]

    @Test(
        arguments: [
            (["task_id": "t2", "finished_at": "2", "progress": nil, "result": ["capacity_bytes": 7, "duration_s": 9]], false),
            (["state": "failed"], true), (["strategy": "rebase"], true), (["result": ["capacity_bytes": 8]], true),
            (["failure": ["message": "no"]], true),
            // Asked at another moment: what had become of it by then is no difference, the strategy is.
            (["state": "copying", "result": nil], false), (["state": "copying", "result": nil, "strategy": "rebase"], true),
            (["state": "queued", "strategy": nil, "result": nil], false),
        ] as [(JSONObject, Bool)])
    func whatBecameOfASwapIsCompared(changes: JSONObject, isDifferent: Bool) async throws {
        let now = Self.ended.merging(changes)
        let (summary, differences) = try await Self.replay(
            [Self.question(1, now), Self.reply("m1", .object(Self.ended))], Echo())
        #expect(summary.compared == 1)
        #expect(summary.differences == (isDifferent ? 1 : 0), "\(differences)")
    }

    @Test func whatACheckFoundDependsOnTheMoment() async throws {
        let was: JSONObject = ["acceptable": true, "failure": nil, "strategy": "copy", "disk": "vdb", "already_moved": false]
        let cases: [(JSONObject, Int)] = [(["acceptable": false, "failure": ["class": "x"]], 0), (["disk": "vdc"], 1)]
        for (changes, count) in cases {
            let question = MessageTests.request("check_swap", was.merging(changes), ["_msg_id": "m1", "_unique_id": "u1"])
            let (summary, differences) = try await Self.replay([question, Self.reply("m1", .object(was))], Echo())
            #expect(summary.compared == 1 && summary.differences == count, "\(differences)")
        }
    }

    @Test func aCheckThatRefusesSaysWhy() {
        func summary(_ result: JSONValue) -> String { ReplayOutcome.reply(.result(result), body: []).summary }
        #expect(summary(["acceptable": true, "failure": nil]) == "ok")
        #expect(
            summary(["acceptable": false, "failure": ["class": "InvalidVolume", "message": "too small"]])
                == "not acceptable: InvalidVolume: too small")
    }

    @Test func aQuestionWaitsForTheAnswersBeforeIt() async throws {
        /// Ends a call only when nothing else is sent for a while.
        final class Slow: ReplayTarget {
            let log = Mutex<[String]>([])

            func send(_ message: ReplayMessage, completion: @escaping @Sendable (ReplayOutcome) -> Void) async {
                guard case .request(let request) = message.content else { return }
                log.withLock { $0.append("sent \(request.method)") }
                let reply = RPCReply(messageID: "", uniqueID: "", content: .result(1))
                Task {
                    for _ in 0..<1000 { await Task.yield() }
                    self.log.withLock { $0.append("ended \(request.method)") }
                    completion(.reply(reply.content, body: reply.encoded()))
                }
            }

            func finish() async {}
        }
        let target = Slow()
        let lines = [Self.request(1), Self.reply("m1", 1), Self.question(2, [:]), Self.reply("m2", 1)]
        let (summary, _) = try await Self.replay(lines, target)
        #expect(summary.compared == 2)
        #expect(target.log.withLock { $0 } == ["sent get", "ended get", "sent get_swap", "ended get_swap"])
    }

    @Test func renewsAndRenames() async throws {
        let target = Echo()
        var map = IDMap()
        try map.add("v1=v2")
        let options = map
        let (summary, differences) = try await Self.replay(
            [Self.request(1, ["id": "v1"]), Self.reply("m1", ["id": "v1"])], target
        ) {
            $0.map = options; $0.freshIDs = FreshIDs()
        }
        #expect(summary.compared == 1 && summary.differences == 0, "\(differences)")
        let sent = try #require(target.sent.withLock { $0.first })
        guard case .request(let request) = sent.content else {
            Issue.record("no request")
            return
        }
        #expect(request.uniqueID != "u1" && request.args["id"] == "v2")
        #expect(try RPCRequest(decoding: sent.line.body.bytes) == request)
    }

    @Test func namesATaskByTheSameNewIDEverywhere() async throws {
        let target = Echo()
        let id: JSONValue = "9F1D1C0A-7B5E-4A7E-8C2D-3B4A5F607182"
        let lines = [
            Self.request(1, ["request_token": id]),
            Self.request(2, ["task_ids": [id, "9f1d1c0a-7b5e-4a7e-8c2d-3b4a5f607182", 7]]),
            Self.request(3, ["task_id": id]),
        ]
        _ = try await Self.replay(lines, target) { $0.freshIDs = FreshIDs() }
        let args = target.sent.withLock(\.self).compactMap { message in
            if case .request(let request) = message.content { request.args } else { nil }
        }
        let new = try #require(args[0]["request_token"])
        #expect(new != id && args[1]["task_ids"] == .array([new, new, 7]) && args[2]["task_id"] == new)
    }

    @Test func keepsThePaceOfTheRecording() async throws {
        let lines = [Self.request(1), Self.request(2, at: 2), Self.request(3, at: 1)]
        let clock = ContinuousClock()
        let slow = try await clock.measure { _ = try await Self.replay(lines, Echo()) { $0.speed = .factor(10) } }
        #expect(slow >= .milliseconds(200))
        let fast = try await clock.measure { _ = try await Self.replay(lines, Echo()) }
        #expect(fast < slow)
    }

    @Test func stopsAtTheLimit() async throws {
        let target = Echo()
        let (summary, _) = try await Self.replay((1...9).map { Self.request($0) }, target) { $0.limit = 4 }
        #expect(summary.requests == 4 && target.sent.withLock { $0.count } == 4)
    }

    @Test func comparesAnswersThatAreRecordedBehindTheLimit() async throws {
        let target = Echo()
        let requests = [Self.request(1, ["a": 1]), Self.request(2, ["a": 2]), Self.request(3, ["a": 3])]
        let replies = [Self.reply("m3", ["a": 3]), Self.reply("m2", ["a": 9]), Self.reply("m1", ["a": 1])]
        let (summary, differences) = try await Self.replay(requests + replies, target) { $0.limit = 2 }
        #expect(summary.requests == 2 && target.sent.withLock { $0.count } == 2)
        #expect(summary.compared == 2 && summary.differences == 1 && summary.uncompared == 0)
        #expect(differences.count == 1 && differences[0].contains("9"))
    }

    /// Takes whatever comes and answers nothing until told.
    final class Slow: ReplayTarget {
        let waiting = Mutex<[@Sendable (ReplayOutcome) -> Void]>([])

        func send(_ message: ReplayMessage, completion: @escaping @Sendable (ReplayOutcome) -> Void) async {
            waiting.withLock { $0.append(completion) }
        }

        func finish() async {}
    }

    @Test func aCancelledReplayEnds() async throws {
        let target = Slow()
        let task = Task { try await Self.replay((1...9).map { Self.request($0) }, target) { $0.window = 2 } }
        while target.waiting.withLock({ $0.count }) < 2 { await Task.yield() }
        task.cancel()
        await #expect(throws: CancellationError.self) { _ = try await task.value }
        #expect(target.waiting.withLock { $0.count } == 2, "no more than the window were sent")
    }

    @Test func readsSpeeds() throws {
        #expect(try ReplayClock.Speed(parsing: "max") == .max)
        #expect(try ReplayClock.Speed(parsing: "2.5") == .factor(2.5))
        for text in ["", "0", "-1", "nan", "inf", "fast"] {
            #expect(throws: CaptureError.self) { try ReplayClock.Speed(parsing: text) }
        }
    }
}
