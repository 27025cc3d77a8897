import Foundation
import JSON
import Testing
import JournalConformance
import VolumeSwap

@testable import Journal

@Suite("Tasks taken over by a start") struct UnfinishedTaskTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    @Test("A begun task is read in full, others only as far as needed at once")
    func kinds() async throws {
        let journal = try await directory.open()
        for id in ["waiting", "cast", "begun", "told", "over"] {
            _ = try await journal.accept(Sample.record(id, isCall: id != "cast"))
        }
        try await journal.enter(TaskID("begun"), .copying, plan: try Sample.plan)
        try await journal.answer(TaskID("told"), .failure(.rebaseFailed("stalled", .stalled)))
        try await journal.finish(TaskID("over"), .success(Sample.result), at: .now)
        let tasks = try await journal.unfinished()
        #expect(tasks.map(\.id.text) == ["begun", "told", "waiting", "cast", "over"])
        guard case .begun(let begun) = tasks[0], case .begun(let told) = tasks[1],
            case .waiting(let waiting) = tasks[2], case .waiting(let cast) = tasks[3], case .over(_, .completed) = tasks[4]
        else {
            Issue.record("\(tasks)")
            return
        }
        #expect(begun.plan != nil && told.outcome != nil && waiting.instanceKey == Sample.instance)
        for task in [waiting, cast] { #expect(task.phase == .accepted && !task.isAbortRequested) }
        #expect(waiting.acceptedAt == Sample.record("waiting").acceptedAt && cast.callers == [])
        #expect(waiting.callers == [ReplyTo(messageID: "m-waiting", queue: "reply_1", timeout: 60)])
        #expect(tasks.map { !$0.callers.isEmpty } == [true, false, true, false, false])
        await journal.close()
    }

    @Test("Of too many later callers the latest are kept")
    func manyAskers() async throws {
        let journal = try await directory.open()
        _ = try await journal.accept(Sample.record("call"))
        let queue = String(repeating: "q", count: 200)
        for number in 0..<2000 {
            try await journal.ask(TaskID("call"), ReplyTo(messageID: "\(number)", queue: queue, timeout: nil))
        }
        let record = try #require(try await journal.record(TaskID("call")))
        #expect(record.replyTo == Sample.record("call").replyTo)
        #expect(record.askers.count > 1000 && record.askers.count < 1200)
        #expect(record.askers.last?.messageID == "1999" && record.askers.first?.messageID == "\(2000 - record.askers.count)")
        await journal.close()
    }

    @Test("Later callers are there after a restart, of a call and of a cast, until the task is settled")
    func askers() async throws {
        let others = ["b", "c"].map { ReplyTo(messageID: $0, queue: "reply_2", timeout: $0 == "b" ? 30 : nil) }
        var journal = try await directory.open()
        for id in ["call", "cast", "over"] {
            _ = try await journal.accept(Sample.record(id, isCall: id != "cast"))
            if id == "over" { try await journal.finish(TaskID(id), .success(Sample.result), at: .now) }
            for other in others { try await journal.ask(TaskID(id), other) }
        }
        await journal.close()
        journal = try await directory.open()
        for id in ["call", "cast", "over"] {
            let record = try #require(try await journal.record(TaskID(id)))
            #expect(record.askers == others && record.replyTo == Sample.record(id, isCall: id != "cast").replyTo)
        }
        let unfinished = try await journal.unfinished()
        #expect(unfinished.map(\.id.text) == ["call", "cast", "over"])
        #expect(unfinished.map { $0.callers.map(\.messageID) } == [["m-call", "b"], ["b"], []])
        try await journal.settle(TaskID("over"))
        try await journal.ask(TaskID("over"), ReplyTo(messageID: "d", queue: "q", timeout: nil))
        #expect(try await journal.record(TaskID("over"))?.askers == others)
        try await journal.forgetReply(TaskID("call"))
        #expect(try await journal.record(TaskID("call"))?.askers == [])
        await journal.close()
    }

    @Test("Of a waiting task's request the new volume's ids are read, whatever else is there")
    func volumes() async throws {
        let journal = try await directory.open()
        for (id, given) in [("string", "v1"), ("number", 7), ("none", .null)] as [(String, JSONValue)] {
            var record = Sample.record(id)
            record.args["new_volume_id"] = given
            record.args["new_connection_info"] = ["serial": "v2", "data": ["volume_id": given]]
            _ = try await journal.accept(record)
        }
        let ids = try await journal.unfinished().map { task -> [String] in
            if case .waiting(let waiting) = task { waiting.newVolumeIDs } else { [] }
        }
        #expect(ids == [["v1", "v2", "v1"], ["v2"], ["v2"]])
        await journal.close()
    }

    @Test(
        "A row without what every task has does not hold up others", arguments: ["instance_key", "disk", "accepted_at", "phase"])
    func incomplete(column: String) async throws {
        let journal = try await directory.open()
        for id in ["a", "b", "c"] { _ = try await journal.accept(Sample.record(id)) }
        try await journal.finish(TaskID("c"), .success(Sample.result), at: .now)
        try journal.execute(Sample.losing(column, of: "a"))
        #expect(try await journal.unfinished().map(\.id.text) == ["b", "c"])
        await journal.close()
    }

    @Test("An unreadable request does not hold up others")
    func damaged() async throws {
        let journal = try await directory.open()
        for id in ["a", "b"] { _ = try await journal.accept(Sample.record(id)) }
        try journal.execute("UPDATE request SET args = 'garbage' WHERE sequence = (SELECT sequence FROM task WHERE id = 'a')")
        #expect(try await journal.unfinished().map(\.id.text) == ["a", "b"])
        await #expect(throws: JournalError.self) { try await journal.record(TaskID("a")) }
        #expect(try await journal.records(SwapQuery()).map(\.id.text) == ["b"])
        await journal.close()
    }
}
