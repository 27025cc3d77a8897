import Foundation
import GRDB
import JSON
import JournalConformance
import Synchronization
import Testing
import VolumeSwap

@testable import Journal

struct SQLiteJournalTests {
    let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    @Test func aTaskGoesThroughItsWholeLife() async throws {
        let started = Date(timeIntervalSince1970: 1_700_000_100)
        let journal = try await SQLiteJournal.open(directory: directory.state, now: { started })
        let record = Sample.record("t1")
        guard case .new = try await journal.accept(record) else {
            Issue.record("a new task was taken for a duplicate")
            return
        }
        var stored = try #require(try await journal.record(record.id))
        #expect(stored.args == record.args)
        #expect(stored.context == record.context)
        #expect(stored.replyTo == record.replyTo)
        #expect(stored.acceptedAt == record.acceptedAt)
        #expect(stored.phase == .accepted)
        #expect(stored.startedAt == nil)
        #expect(!stored.isReplied)

        let plan = try Sample.plan
        try await journal.enter(record.id, .preparing, plan: nil)
        try await journal.enter(record.id, .undefining, plan: plan)
        try await journal.enter(record.id, .copying, plan: nil)
        stored = try #require(try await journal.record(record.id))
        #expect(stored.phase == .copying)
        #expect(stored.plan == plan)
        #expect(stored.startedAt == started)

        let finished = Date(timeIntervalSince1970: 1_700_000_200)
        try await journal.finish(record.id, .success(Sample.result), at: finished)
        stored = try #require(try await journal.record(record.id))
        #expect(stored.phase == .completed)
        #expect(stored.outcome == .success(Sample.result))
        #expect(stored.finishedAt == finished)
        #expect(!stored.isReplied)

        try await journal.settle(record.id)
        stored = try #require(try await journal.record(record.id))
        #expect(stored.isReplied)
        #expect(stored.plan == nil)
        #expect(stored.args == JSONValue.object(record.args).redacted().objectValue)
        #expect(stored.context["auth_token"] == "***")
        #expect(stored.outcome == .success(Sample.maskedResult))
        #expect(try await journal.unfinished().isEmpty)
        await journal.close()
    }

    @Test func theOrderIsThatOfArrivalOverRestarts() async throws {
        var expected: [TaskID] = []
        for run in 0..<2 {
            let journal = try await SQLiteJournal.open(directory: directory.state)
            for arrival in [3, 1, 2] as [UInt64] {
                var record = Sample.record("\(run)-\(arrival)")
                record.arrival = arrival
                _ = try await journal.accept(record)
            }
            expected += (1...3).map { TaskID("\(run)-\($0)") }
            #expect(try await journal.unfinished().map(\.id) == expected)
            await journal.close()
        }
    }

    @Test func anOutcomeThatIsToldBeforeTheTaskIsOverStaysTheOutcome() async throws {
        var journal = try await SQLiteJournal.open(directory: directory.state)
        let record = Sample.record("t1")
        _ = try await journal.accept(record)
        try await journal.enter(record.id, .rollingBack, plan: try Sample.plan)
        let told = SwapOutcome.failure(.rebaseFailed("stalled", .stalled))
        try await journal.answer(record.id, told)
        try await journal.answer(record.id, .failure(.rebaseFailed("another")))
        try await journal.forgetReply(record.id)
        await journal.close()

        journal = try await SQLiteJournal.open(directory: directory.state)
        let open = try #require(try await journal.unfinishedRecords().first)
        #expect(open.outcome == told)
        #expect(open.isReplied && !open.isOver)
        #expect(open.phase == .rollingBack)
        #expect(open.plan == (try Sample.plan))
        try await journal.finish(record.id, .failure(.rebaseFailed("all undone")), at: .now)
        try await journal.settle(record.id)
        let over = try #require(try await journal.record(record.id))
        #expect(over.outcome == told)
        #expect(over.phase == .failed && over.isReplied && over.plan == nil)
        #expect(try await journal.unfinished().isEmpty)
        await journal.close()
    }

    @Test func anOutcomeThatComesTwiceIsSettledAllTheSame() async throws {
        let journal = try await SQLiteJournal.open(directory: directory.state, isDurable: false)
        let record = Sample.record("t1")
        _ = try await journal.accept(record)
        try await journal.finish(record.id, .success(Sample.result), at: .now)
        #expect(try await journal.record(record.id)?.isReplied == false)
        try await journal.finish(record.id, .success(Sample.other), at: .now)
        try await journal.settle(record.id)
        let stored = try #require(try await journal.record(record.id))
        #expect(stored.outcome == .success(Sample.result) && stored.isReplied)
        await journal.close()
    }

    @Test func aJournalThatNeedNotLastKeepsTasksButNoPlans() async throws {
        let journal = try await SQLiteJournal.open(directory: directory.state, isDurable: false)
        let record = Sample.record("t1")
        _ = try await journal.accept(record)
        try await journal.enter(record.id, .starting, plan: try Sample.plan)
        journal.note(record.id, .copying)
        var stored = try #require(try await journal.record(record.id))
        #expect(stored.phase == .copying)
        #expect(stored.plan == nil)
        #expect(try await journal.records(SwapQuery(states: ["copying"])).map(\.id) == [record.id])
        try await journal.finish(record.id, .success(Sample.result), at: Date(timeIntervalSince1970: 1_700_000_200))
        try await journal.settle(record.id)
        stored = try #require(try await journal.record(record.id))
        #expect(stored.outcome == .success(Sample.result))
        #expect(stored.isReplied)
        guard case .duplicate(let known) = try await journal.accept(record) else {
            Issue.record("a known task was taken for a new one")
            return
        }
        #expect(known.outcome == .success(Sample.result))
        await journal.close()
    }

    @Test func failuresAndAbortsAreKept() async throws {
        let journal = try await directory.open()
        let failure = SwapFailure(.volumeRebaseFailed, "disk vdb: No space left on device")
        for (id, failure) in [("f", failure), ("a", SwapFailure.abortedByRequest)] {
            _ = try await journal.accept(Sample.record(id))
            try await journal.finish(TaskID(id), .failure(failure), at: Date(timeIntervalSince1970: 1))
        }
        #expect(try await journal.record(TaskID("f"))?.phase == .failed)
        #expect(try await journal.record(TaskID("f"))?.outcome == .failure(failure))
        #expect(try await journal.record(TaskID("a"))?.phase == .aborted)
        #expect(try await journal.record(TaskID("none")) == nil)
        await journal.close()
    }

    @Test func theSameTaskIsADuplicateWhateverItsState() async throws {
        let journal = try await directory.open()
        _ = try await journal.accept(Sample.record("t1"))
        try await journal.enter(TaskID("t1"), .copying, plan: nil)
        guard case .duplicate(let running) = try await journal.accept(Sample.record("t1", disk: "vdc")) else {
            Issue.record("a duplicate was taken for new")
            return
        }
        #expect(running.phase == .copying)
        #expect(running.disk == "vdb")
        try await journal.finish(TaskID("t1"), .success(Sample.result), at: Date())
        try await journal.finish(TaskID("t1"), .success(Sample.other), at: Date())
        try await journal.enter(TaskID("t1"), .copying, plan: nil)
        try await journal.settle(TaskID("t1"))
        try await journal.settle(TaskID("t1"))
        guard case .duplicate(let finished) = try await journal.accept(Sample.record("t1")) else {
            Issue.record("a finished duplicate was taken for new")
            return
        }
        #expect(finished.phase == .completed)
        #expect(finished.outcome == .success(Sample.maskedResult))
        #expect(finished.isReplied)
        await journal.close()
    }

    @Test func sameTaskAtOnceIsNewOnce() async throws {
        let journal = try await directory.open()
        let news = try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<50 {
                group.addTask {
                    guard case .new = try await journal.accept(Sample.record("same")) else { return 0 }
                    return 1
                }
            }
            return try await group.reduce(0, +)
        }
        #expect(news == 1)
        await journal.close()
    }

    @Test func aNoteIsThereBeforeTheNextCall() async throws {
        let journal = try await directory.open()
        let id = TaskID("t1")
        _ = try await journal.accept(Sample.record("t1"))
        journal.note(id, .preparing)
        journal.note(id, .ready)
        #expect(try await journal.record(id)?.phase == .ready)
        journal.note(id, .copying)
        try await journal.enter(id, .pivoting, plan: nil)
        #expect(try await journal.record(id)?.phase == .pivoting)
        journal.note(id, .finishing)
        try await journal.finish(id, .success(Sample.result), at: Date())
        journal.note(id, .copying)
        #expect(try await journal.record(id)?.phase == .completed)
        await journal.close()
    }

    @Test func anUnknownTaskFailsAloneInItsBatch() async throws {
        let journal = try await directory.open()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for index in 0..<40 {
                group.addTask { _ = try await journal.accept(Sample.record("t\(index)")) }
                group.addTask {
                    let error = await #expect(throws: JournalError.self) {
                        try await journal.enter(TaskID("unknown"), .copying, plan: nil)
                    }
                    #expect(error?.code == .unusable)
                }
            }
            try await group.waitForAll()
        }
        #expect(try await journal.unfinished().count == 40)
        await journal.close()
    }

    @Test func unfinishedTasksComeInArrivalOrderAndUnsettledOnesLast() async throws {
        let journal = try await directory.open()
        for id in ["c", "a", "d", "b", "e"] { _ = try await journal.accept(Sample.record(id, isCall: id != "c")) }
        try await journal.finish(TaskID("c"), .success(Sample.result), at: Date())
        try await journal.finish(TaskID("e"), .success(Sample.result), at: Date())
        try await journal.settle(TaskID("e"))
        let records = try await journal.unfinishedRecords()
        #expect(records.map(\.id.text) == ["a", "d", "b", "c"])
        #expect(records.last?.isReplied == true, "a cast has no reply to send, but its secrets are still there")
        await journal.close()
    }

    @Test func recordsAreFilteredNewestFirst() async throws {
        let journal = try await directory.open()
        for index in 0..<6 {
            let instance = index < 3 ? Sample.instance : "name:instance-0000002a"
            _ = try await journal.accept(Sample.record("t\(index)", instance: instance, disk: index % 2 == 0 ? "vda" : "vdb"))
        }
        try await journal.enter(TaskID("t1"), .starting, plan: nil)
        try await journal.enter(TaskID("t2"), .storing, plan: nil)
        try await journal.finish(TaskID("t3"), .success(Sample.result), at: Date())

        func ids(_ query: SwapQuery) async throws -> [String] { try await journal.records(query).map(\.id.text) }
        #expect(try await ids(SwapQuery()) == ["t5", "t4", "t3", "t2", "t1", "t0"])
        #expect(try await ids(SwapQuery(limit: 2)) == ["t5", "t4"])
        #expect(try await ids(SwapQuery(limit: 0)) == [])
        #expect(try await ids(SwapQuery(instanceKeys: [Sample.instance])) == ["t2", "t1", "t0"])
        #expect(try await ids(SwapQuery(instanceKeys: ["name:instance-0000002a"], disk: "vdb")) == ["t5", "t3"])
        #expect(try await ids(SwapQuery(states: ["preparing"])) == ["t1"])
        #expect(try await ids(SwapQuery(states: ["finishing", "completed"])) == ["t3", "t2"])
        #expect(try await ids(SwapQuery(instanceKeys: [Sample.instance], states: ["queued"])) == ["t0"])
        #expect(try await ids(SwapQuery(states: [])) == [])
        #expect(try await ids(SwapQuery(states: ["no such state"])) == [])
        await journal.close()
    }

    @Test func onlyOldSettledTasksArePruned() async throws {
        let journal = try await directory.open()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for index in 0..<1200 {
                group.addTask {
                    let id = TaskID("old\(index)")
                    _ = try await journal.accept(Sample.record(id.text))
                    try await journal.finish(id, .success(Sample.result), at: Date(timeIntervalSince1970: 1000))
                    try await journal.settle(id)
                }
            }
            try await group.waitForAll()
        }
        for id in ["young", "unsettled", "running"] { _ = try await journal.accept(Sample.record(id)) }
        try await journal.finish(TaskID("young"), .success(Sample.result), at: Date(timeIntervalSince1970: 3000))
        try await journal.settle(TaskID("young"))
        try await journal.finish(TaskID("unsettled"), .success(Sample.result), at: Date(timeIntervalSince1970: 1000))
        #expect(try await journal.prune(before: Date(timeIntervalSince1970: 2000)) == 1200)
        #expect(try await journal.prune(before: Date(timeIntervalSince1970: 2000)) == 0)
        #expect(try await journal.records(SwapQuery()).map(\.id.text) == ["running", "unsettled", "young"])
        await journal.close()
    }

    @Test func aClosedJournalRefuses() async throws {
        let journal = try await directory.open()
        _ = try await journal.accept(Sample.record("t1"))
        journal.note(TaskID("t1"), .copying)
        await journal.close()
        await #expect(throws: JournalError.self) { _ = try await journal.accept(Sample.record("t2")) }
        await #expect(throws: JournalError.self) { _ = try await journal.record(TaskID("t1")) }
        await #expect(throws: JournalError.self) { try await journal.probe() }
        journal.note(TaskID("t1"), .ready)
        await journal.close()
        let again = try await directory.open()
        #expect(try await again.unfinishedRecords().map(\.phase) == [.copying])
        await again.close()
    }

    @Test func unfinishedTasksAreReadByOneStatement() async throws {
        let journal = try await directory.open()
        let plan = try Sample.plan
        try await withThrowingTaskGroup(of: Void.self) { group in
            for index in 0..<100 {
                group.addTask {
                    _ = try await journal.accept(Sample.record("t\(index)"))
                    try await journal.enter(TaskID("t\(index)"), .copying, plan: plan)
                }
            }
            try await group.waitForAll()
        }
        let statements = StatementCount()
        try await journal.read { db in db.trace { _ in statements.add() } }
        #expect(try await journal.unfinished().count == 100)
        try await journal.read { db in db.trace(nil) }
        // One for all tasks, and those around a transaction.
        #expect(statements.count < 20, "\(statements.count) statements")
        await journal.close()
    }
}

private final class StatementCount: Sendable {
    private let value = Mutex(0)

    var count: Int { value.withLock { $0 } }

    func add() { value.withLock { $0 += 1 } }
}
