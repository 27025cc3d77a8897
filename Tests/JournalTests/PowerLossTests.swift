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
    private func afterPowerLoss(_ number: Int) async throws -> SwapRecord? {
        let copy = directory.path + "/lost-\(number)"
        try FileManager.default.copyItem(atPath: directory.path + "/image", toPath: copy)
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
        var lost = try #require(await afterPowerLoss(2))
        #expect(lost.phase == .accepted)
        #expect(lost.plan == nil, "the plan was synced, which this phase can do without")

        try await journal.enter(id, .pivoting, plan: nil)
        lost = try #require(await afterPowerLoss(3))
        #expect(lost.phase == .pivoting)
        #expect(lost.plan == (try Sample.plan))

        journal.note(id, .storing)
        #expect(try await journal.record(id)?.phase == .storing)
        #expect(try await afterPowerLoss(4)?.phase == .pivoting, "a note was synced")

        try await journal.finish(id, .success(Sample.result), at: .now)
        #expect(try await afterPowerLoss(5)?.outcome == .success(Sample.result))
        await journal.close()
    }

    @Test("The reply of a task whose settlement was lost is owed again, the same")
    func settlement() async throws {
        let journal = try await directory.open()
        _ = try await journal.accept(Sample.record("t1"))
        try await journal.finish(id, .success(Sample.result), at: .now)
        try await journal.settle(id, .delivered)
        #expect(try await journal.unfinished().isEmpty)
        let lost = try #require(await afterPowerLoss(1))
        #expect(!lost.isReplied)
        #expect(lost.outcome == .success(Sample.result))
        await journal.scrub()
        let scrubbed = try #require(await afterPowerLoss(2))
        #expect(scrubbed.isReplied)
        #expect(scrubbed.outcome == .success(Sample.maskedResult))
        await journal.close()
    }

    @Test("After a transaction without a sync the next promise is synced again")
    func alternating() async throws {
        let journal = try await directory.open()
        _ = try await journal.accept(Sample.record("t1"))
        for number in 0..<20 {
            try await journal.enter(id, .starting, plan: nil, isSynced: false)
            try await journal.enter(id, .copying, plan: nil)
            #expect(try await afterPowerLoss(2 * number)?.phase == .copying)
            try await journal.answer(id, .failure(.abortedByRequest))
            #expect(try await afterPowerLoss(2 * number + 1)?.outcome == .failure(.abortedByRequest))
        }
        await journal.close()
    }
}
