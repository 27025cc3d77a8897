import Foundation
import JSON
import JournalConformance
import Testing
import VolumeSwap

@testable import Journal

struct GroupCommitTests {
    let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    @Test func manyAcceptsShareFewCommits() async throws {
        let journal = try await directory.open()
        let before = journal.commits
        // More than the queue's limit, so that some wait for room.
        let count = GroupCommit.limit * 3
        try await withThrowingTaskGroup(of: Void.self) { group in
            for index in 0..<count { group.addTask { _ = try await journal.accept(Sample.record("t\(index)")) } }
            try await group.waitForAll()
        }
        let commits = journal.commits - before
        #expect(commits > 0)
        #expect(commits < count / 10, "\(commits) commits for \(count) accepts")
        #expect(try await journal.records(SwapQuery(limit: count + 1)).count == count)
        await journal.close()
    }

    @Test func oneAcceptIsOneCommit() async throws {
        let journal = try await directory.open()
        let before = journal.commits
        for index in 0..<5 { _ = try await journal.accept(Sample.record("t\(index)")) }
        #expect(journal.commits - before == 5)
        await journal.close()
    }

    @Test func aCancelledCallerIsStillRecorded() async throws {
        let journal = try await directory.open()
        let task = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            _ = try await journal.accept(Sample.record("t1"))
            return try await journal.record(TaskID("t1"))?.phase
        }
        #expect(try await task.value == .accepted)
        await journal.close()
    }

    @Test func aFullDiskRefusesAndHealsByItself() async throws {
        let journal = try await directory.open()
        _ = try await journal.accept(Sample.record("before"))
        try journal.execute("PRAGMA max_page_count = 1")
        try await withThrowingTaskGroup(of: Void.self) { group in
            for index in 0..<20 {
                group.addTask {
                    var record = Sample.record("t\(index)")
                    record.args["padding"] = .string(String(repeating: "x", count: 100_000))
                    let error = await #expect(throws: JournalError.self) { _ = try await journal.accept(record) }
                    #expect(error?.code == .unavailable)
                    #expect(error?.message.contains("free some space") == true)
                }
            }
            try await group.waitForAll()
        }
        #expect(try await journal.unfinished().map(\.id.text) == ["before"])
        try journal.execute("PRAGMA max_page_count = 1073741823")
        try await journal.probe()
        _ = try await journal.accept(Sample.record("after"))
        #expect(try await journal.unfinished().map(\.id.text) == ["before", "after"])
        await journal.close()
    }

    @Test func aTaskThatCannotBeStoredIsOvertakenByNone() async throws {
        let journal = try await SQLiteJournal.open(directory: directory.state)
        let pages = try #require(try journal.fetchInt("PRAGMA page_count"))
        try journal.execute("PRAGMA max_page_count = \(pages + 20)")
        var padded = Sample.record("large")
        padded.args["padding"] = .string(String(repeating: "x", count: 1_000_000))
        let (large, small) = (padded, Sample.record("small"))
        await #expect(throws: JournalError.self) { _ = try await journal.accept(large) }
        await #expect(throws: JournalError.self) { _ = try await journal.accept(small) }
        await #expect(throws: JournalError.self) { try await journal.probe(bytes: 1_000_000) }
        await #expect(throws: JournalError.self) { _ = try await journal.accept(small) }
        try journal.execute("PRAGMA max_page_count = 1073741823")
        try await journal.probe(bytes: 1_000_000)
        for record in [large, small] { _ = try await journal.accept(record) }
        #expect(try await journal.unfinished().map(\.id.text) == ["large", "small"])
        #expect(try journal.fetchInt("SELECT count(*) FROM request") == 2)
        await journal.close()
    }

    @Test func anOutcomeThatNobodyWaitsForOutlivesAFailedBatch() async throws {
        let journal = try await SQLiteJournal.open(directory: directory.state, isDurable: false)
        let record = Sample.record("t1")
        _ = try await journal.accept(record)
        try journal.execute("PRAGMA max_page_count = 1")
        journal.note(record.id, .copying)
        let long = JSONValue.string(String(repeating: "x", count: 1_000_000))
        var result = Sample.result
        result.connectionInfo["padding"] = long
        try await journal.finish(record.id, .success(result), at: .now)
        try await journal.settle(record.id)
        await #expect(throws: JournalError.self) {
            var large = Sample.record("large")
            large.args["padding"] = long
            _ = try await journal.accept(large)
        }
        #expect(try await journal.record(record.id)?.outcome == nil)
        try journal.execute("PRAGMA max_page_count = 1073741823")
        try await journal.probe()
        let stored = try #require(try await journal.record(record.id))
        #expect(stored.outcome == .success(result))
        #expect(stored.isReplied)
        await journal.close()
    }

    @Test func aNoteOutlivesAFailedBatch() async throws {
        let journal = try await directory.open()
        _ = try await journal.accept(Sample.record("t1"))
        try journal.execute("PRAGMA max_page_count = 1")
        var large = Sample.record("large")
        large.args["padding"] = .string(String(repeating: "x", count: 1_000_000))
        let record = large
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<20 {
                group.addTask {
                    journal.note(TaskID("t1"), .ready)
                    await #expect(throws: JournalError.self) { _ = try await journal.accept(record) }
                }
            }
        }
        try journal.execute("PRAGMA max_page_count = 1073741823")
        try await journal.probe()
        #expect(try await journal.record(TaskID("t1"))?.phase == .ready)
        await journal.close()
    }
}
