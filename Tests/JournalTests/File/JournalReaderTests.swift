import Foundation
import JournalConformance
import Testing
import VolumeSwap

@testable import Journal

@Suite struct JournalReaderTests {
    private let directory: TemporaryDirectory
    private let reader: JournalReader

    init() throws {
        directory = try TemporaryDirectory()
        reader = JournalReader(directory: directory.state)
    }

    private func ids(_ prefix: String, limit: Int = 10) async throws -> [String] {
        try await reader.tasks(idPrefix: prefix, limit: limit).map(\.record.id.text)
    }

    private func fill(_ journal: SQLiteJournal) async throws {
        for id in ["ab1", "ab2", "cd1"] { _ = try await journal.accept(Sample.record(id)) }
        try await journal.enter(TaskID("ab1"), .copying, plan: try Sample.plan)
        journal.remark(TaskID("ab1"), "abort requested")
        try await journal.finish(TaskID("ab1"), .failure(.abortedByRequest), at: .now)
    }

    private static let events: [HistoryEntry.Event] = [.phase(.copying), .note("abort requested"), .phase(.aborted)]

    @Test func aRunningWorkersTasksAreRead() async throws {
        let journal = try await directory.open()
        try await fill(journal)
        #expect(try await ids("ab") == ["ab2", "ab1"])
        #expect(try await ids("", limit: 1) == ["cd1"])
        #expect(try await ids("x").isEmpty)
        #expect(try await reader.tasks(idPrefix: "ab1", limit: 2).first?.history.map(\.event) == Self.events)
        // The worker goes on meanwhile.
        try await journal.settle(TaskID("ab1"), .delivered)
        #expect(try await reader.tasks(idPrefix: "ab1", limit: 1).first?.history.last?.event == .reply(.delivered))
        await journal.close()
    }

    @Test func aStoppedWorkersTasksAreRead() async throws {
        let journal = try await directory.open()
        try await fill(journal)
        await journal.close()
        let names = { try FileManager.default.contentsOfDirectory(atPath: directory.state).sorted() }
        let before = try names()
        #expect(try await reader.tasks(idPrefix: "ab1", limit: 2).first?.history.map(\.event) == Self.events)
        #expect(try names() == before, "nothing is created")
    }

    /// Its log is read too, with the index of the process that died.
    @Test func aKilledWorkersTasksAreRead() async throws {
        let journal = try await directory.open()
        try await fill(journal)
        let copy = directory.path + "/copy"
        try FileManager.default.copyItem(atPath: directory.state, toPath: copy)
        await journal.close()
        let found = try await JournalReader(directory: copy).tasks(idPrefix: "ab1", limit: 2)
        #expect(found.first?.history.map(\.event) == Self.events)
        let restarted = try await SQLiteJournal.open(directory: copy)
        #expect(try await restarted.record(TaskID("ab2")) != nil, "the worker starts as before")
        await restarted.close()
    }

    @Test func aTaskThatCannotBeReadIsNamedWithoutItsSecrets() async throws {
        let journal = try await directory.open()
        try await fill(journal)
        try journal.execute(Sample.losing("disk", of: "ab2"))
        let error = await #expect(throws: JournalError.self) { try await ids("ab2") }
        #expect(error?.message.contains("the row of task ab2 cannot be read") == true)
        #expect(error?.message.contains(Sample.argsSecret) == false)
        await journal.close()
    }

    @Test func aMissingJournalIsNamed() async throws {
        let error = await #expect(throws: JournalError.self) { try await ids("a") }
        #expect(error?.message == "there is no journal in \(directory.state); name the worker's state_dir")
    }

    @Test func aForeignFileIsRefused() async throws {
        try FileManager.default.createDirectory(atPath: directory.state, withIntermediateDirectories: false)
        try Data(String(repeating: "no database ", count: 100).utf8).write(to: URL(fileURLWithPath: directory.database))
        let error = await #expect(throws: JournalError.self) { try await ids("a") }
        #expect(error?.code == .unusable)
    }
}
