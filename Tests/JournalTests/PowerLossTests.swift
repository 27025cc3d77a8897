import Foundation
import JournalConformance
import Testing
import VolumeSwap

@testable import Journal

/// What the journal promises about a power loss, tried on what SQLite has synced to its files.
struct PowerLossTests {
    let directory: TemporaryDirectory
    let id = TaskID("t1")

    init() throws {
        directory = try TemporaryDirectory()
        try SyncedFiles.watch(directory.state, image: directory.path + "/image")
    }

    /// The task as a pivotd finds it that starts after a power loss at this moment; nil if there is none.
    private func afterPowerLoss(_ number: Int, _ id: TaskID = TaskID("t1")) async throws -> SwapRecord? {
        let copy = directory.path + "/lost-\(number)"
        try SyncedFiles.copy(directory.path + "/image", to: copy)
        try FileManager.default.setAttributes([.posixPermissions: 0o700], ofItemAtPath: copy)
        let journal = try await SQLiteJournal.open(directory: copy)
        let record = try await journal.record(id)
        await journal.close()
        return record
    }

    @Test("A promise survives a power loss, and takes along what was written before it")
    func promises() async throws {
        let journal = try await directory.open()
        _ = try await journal.accept(Sample.record("t1"))
        #expect(try await afterPowerLoss(1)?.phase == .accepted)

        try await journal.enter(id, .starting, plan: Sample.plan, isSynced: false)
        #expect(try await journal.record(id)?.plan != nil)
        #expect(try journal.pragma("synchronous") == 1)

        try await journal.enter(id, .pivoting, plan: nil)
        let lost = try #require(await afterPowerLoss(3))
        #expect(lost.phase == .pivoting)
        #expect(lost.plan == (try Sample.plan))

        journal.note(id, .finishing)
        try await journal.forgetReply(TaskID("another"), .delivered)
        #expect(try journal.pragma("synchronous") == 1)

        journal.note(id, .storing, isSynced: true)
        try await journal.forgetReply(TaskID("another"), .delivered)
        #expect(try await afterPowerLoss(4)?.phase == .storing)

        try await journal.finish(id, .success(Sample.result), at: .now)
        #expect(try await afterPowerLoss(5)?.outcome == .success(Sample.result))
        await journal.close()
    }

    @Test("The reply of a task whose settlement was lost is the same")
    func settlement() async throws {
        let journal = try await directory.open()
        _ = try await journal.accept(Sample.record("t1"))
        try await journal.finish(id, .success(Sample.result), at: .now)
        try await journal.settle(id, .delivered)
        #expect(try await journal.unfinished().isEmpty)
        #expect(try journal.pragma("synchronous") == 1)
        let lost = try #require(await afterPowerLoss(1))
        #expect(lost.outcome == .success(lost.isReplied ? Sample.maskedResult : Sample.result))
        await journal.scrub()
        let scrubbed = try #require(await afterPowerLoss(2))
        #expect(scrubbed.isReplied)
        #expect(scrubbed.outcome == .success(Sample.maskedResult))
        await journal.close()
    }

    @Test("After a transaction without a sync the next promise is synced again")
    func alternating() async throws {
        let journal = try await directory.open()
        for number in 0..<20 {
            let id = TaskID("t\(number)")
            _ = try await journal.accept(Sample.record("t\(number)"))
            try await journal.enter(id, .starting, plan: nil, isSynced: false)
            try await journal.enter(id, .copying, plan: nil)
            #expect(try await afterPowerLoss(2 * number, id)?.phase == .copying)
            try await journal.enter(id, .rollingBack, plan: nil, isSynced: false)
            try await journal.answer(id, .failure(.abortedByRequest))
            #expect(try await afterPowerLoss(2 * number + 1, id)?.outcome == .failure(.abortedByRequest))
        }
        await journal.close()
    }
}
