import Foundation
import GRDB
import JSON
import JournalConformance
import Synchronization
import Testing
import VolumeSwap

@testable import Journal

struct JournalFileTests {
    let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private func openError() async -> JournalError? {
        await #expect(throws: JournalError.self) { _ = try await directory.open() }
    }

    @Test func filesAreTheOwnersAlone() async throws {
        let previous = umask(0)
        defer { _ = umask(previous) }
        let journal = try await directory.open()
        _ = try await journal.accept(Sample.record("t1"))
        #expect(try directory.mode(directory.state) == 0o700)
        for name in ["journal.sqlite", "journal.sqlite-wal", "journal.sqlite-shm", "journal.lock"] {
            #expect(try directory.mode(directory.state + "/" + name) == 0o600, "\(name)")
        }
        await journal.close()

        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: directory.state)
        try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: directory.database)
        let again = try await directory.open()
        #expect(try directory.mode(directory.state) == 0o700)
        #expect(try directory.mode(directory.database) == 0o600)
        await again.close()
    }

    @Test func parentsAreMade() async throws {
        let journal = try await SQLiteJournal.open(directory: directory.path + "/var/lib/pivotd/")
        try await journal.probe()
        await journal.close()
        #expect(try directory.mode(directory.path + "/var/lib/pivotd") == 0o700)
    }

    @Test func aDirectoryOfOthersIsLeftAlone() async throws {
        try FileManager.default.createDirectory(atPath: directory.state, withIntermediateDirectories: false)
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: directory.state)
        try Data("x".utf8).write(to: URL(fileURLWithPath: directory.state + "/other"))
        #expect(await openError()?.message.contains("chmod it to 0700") == true)
        #expect(try directory.mode(directory.state) == 0o755)
        try FileManager.default.removeItem(atPath: directory.state)
        try Data().write(to: URL(fileURLWithPath: directory.state))
        #expect(await openError()?.message.contains("not a directory") == true)
    }

    @Test func settingsAreThoseOfADurableFile() async throws {
        let journal = try await directory.open()
        _ = try await journal.accept(Sample.record("t1"))
        #expect(try journal.pragma("application_id") == Int(JournalSchema.applicationID))
        #expect(try journal.pragma("synchronous") == 2)
        #expect(try journal.pragma("secure_delete") == 1)
        let log = try FileManager.default.attributesOfItem(atPath: directory.database + "-wal")
        #expect(log[.size] as? Int ?? 0 > 0)
        await journal.close()
        let header = try Data(contentsOf: URL(fileURLWithPath: directory.database)).dropFirst(68).prefix(4)
        #expect(Array(header) == Array("pivt".utf8))
        let loose = try await SQLiteJournal.open(directory: directory.state, isDurable: false)
        #expect(try loose.pragma("synchronous") == 0)
        await loose.close()
    }

    @Test func aSecondProcessIsToldWhoHasIt() async throws {
        let journal = try await directory.open()
        let error = await openError()
        #expect(error?.code == .unusable)
        #expect(error?.message.contains("process \(ProcessInfo.processInfo.processIdentifier)") == true)
        await journal.close()
        let again = try await directory.open()
        await again.close()
    }

    @Test func foreignFilesAreRefusedUnchanged() async throws {
        try FileManager.default.createDirectory(
            atPath: directory.state, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
        let foreign = try DatabaseQueue(path: directory.database)
        try await foreign.write { db in try db.execute(sql: "CREATE TABLE cake (id)") }
        try foreign.close()
        let before = try Data(contentsOf: URL(fileURLWithPath: directory.database))
        let error = await openError()
        #expect(error?.code == .unusable)
        #expect(error?.message.contains("another program") == true)
        #expect(try Data(contentsOf: URL(fileURLWithPath: directory.database)) == before)

        try Data("this is a letter to my aunt, not a database at all\n".utf8).write(to: URL(fileURLWithPath: directory.database))
        #expect(await openError()?.message.contains("is not a journal") == true)
    }

    @Test func aDamagedFileIsRefused() async throws {
        let journal = try await directory.open()
        for index in 0..<50 { _ = try await journal.accept(Sample.record("t\(index)")) }
        await journal.close()
        let file = try FileHandle(forUpdating: URL(fileURLWithPath: directory.database))
        try file.seek(toOffset: 4096)
        try file.write(contentsOf: Data(repeating: 0xA5, count: 40_000))
        try file.close()
        let error = await openError()
        #expect(error?.code == .unusable)
        #expect(error?.message.contains("damaged") == true)
        // A backup beside the log of another file would be damaged by it.
        #expect(error?.message.contains("move it away with its -wal and -shm, then restore a backup") == true)
    }

    @Test func aNewerVersionIsRefused() async throws {
        let journal = try await directory.open()
        try journal.execute("INSERT INTO grdb_migrations (identifier) VALUES ('v99')")
        await journal.close()
        let error = await openError()
        #expect(error?.code == .unusable)
        #expect(error?.message.contains("newer pivotd; reinstall that version, or move it away with its -wal and -shm") == true)
    }

    @Test func anOlderVersionIsReadAndBroughtUpToDate() async throws {
        var journal = try await directory.open()
        for id in ["t1", "t2"] { _ = try await journal.accept(Sample.record(id)) }
        try journal.execute(
            """
            ALTER TABLE task DROP COLUMN bandwidth_mib_s; ALTER TABLE task DROP COLUMN is_abort_requested;
            DELETE FROM grdb_migrations WHERE identifier <> 'v1'
            """)
        await journal.close()
        #expect(try await JournalReader(directory: directory.state).tasks(idPrefix: "t", limit: 9).count == 2)
        journal = try await directory.open()
        try await journal.abort(TaskID("t2"))
        try await journal.limit(TaskID("t2"), mibS: 3)
        let (first, second) = (try await journal.record(TaskID("t1")), try await journal.record(TaskID("t2")))
        #expect(first?.isAbortRequested == false && first?.bandwidthMiBs == nil)
        #expect(second?.isAbortRequested == true && second?.bandwidthMiBs == 3)
        await journal.close()
    }

    @Test func aCrashLosesNothingThatReturned() async throws {
        let journal = try await directory.open()
        let plan = try Sample.plan
        for index in 0..<20 { _ = try await journal.accept(Sample.record("t\(index)")) }
        try await journal.enter(TaskID("t3"), .undefining, plan: plan)
        try await journal.enter(TaskID("t3"), .starting, plan: plan)
        try await journal.finish(TaskID("t5"), .success(Sample.result), at: Date(timeIntervalSince1970: 5))

        // The files that a killed process leaves: the log not checkpointed, the lock free.
        let crashed = try TemporaryDirectory()
        try FileManager.default.copyItem(atPath: directory.state, toPath: crashed.state)
        #expect(try FileManager.default.attributesOfItem(atPath: crashed.database + "-wal")[.size] as? Int ?? 0 > 0)
        let again = try await crashed.open()
        let records = try await again.unfinishedRecords()
        #expect(records.map(\.id.text) == ["t3"] + (0..<20).filter { ![3, 5].contains($0) }.map { "t\($0)" } + ["t5"])
        #expect(records.first { $0.id.text == "t3" }?.plan == plan)
        #expect(records.last?.outcome == .success(Sample.result))
        await again.close()
        await journal.close()
    }

    @Test func aTornLogLosesOnlyItsTail() async throws {
        let journal = try await directory.open()
        for index in 0..<10 { _ = try await journal.accept(Sample.record("t\(index)")) }
        let crashed = try TemporaryDirectory()
        try FileManager.default.copyItem(atPath: directory.state, toPath: crashed.state)
        let log = try FileHandle(forUpdating: URL(fileURLWithPath: crashed.database + "-wal"))
        try log.truncate(atOffset: try log.seekToEnd() - 100)
        try log.close()
        let again = try await crashed.open()
        #expect(try await again.unfinished().map(\.id.text) == (0..<9).map { "t\($0)" })
        await again.close()
        await journal.close()
    }

    @Test(arguments: [false, true])
    func secretsLeaveTheFilesWithTheOutcome(afterRestart isRestarted: Bool) async throws {
        var journal = try await directory.open()
        let plan = try Sample.plan
        for index in 0..<30 {
            let id = TaskID("t\(index)")
            _ = try await journal.accept(Sample.record(id.text, isCall: index % 2 == 0))
            try await journal.enter(id, .undefining, plan: plan)
            try await journal.finish(id, .success(Sample.result), at: Date())
        }
        let secrets = [Sample.argsSecret, Sample.tokenSecret, Sample.savedSecret].map { Data($0.utf8) }
        let before = try directory.bytes()
        for secret in secrets { #expect(before.range(of: secret) != nil) }
        if isRestarted {
            await journal.close()
            journal = try await directory.open()
        }
        for index in 0..<30 { try await journal.settle(TaskID("t\(index)")) }
        await journal.scrub()
        let after = try directory.bytes()
        for secret in secrets { #expect(after.range(of: secret) == nil, "\(String(decoding: secret, as: UTF8.self))") }
        #expect(try await journal.records(SwapQuery()).count == 30)
        await journal.close()
    }

    @Test func aDeletedFileIsNoticed() async throws {
        let journal = try await directory.open()
        _ = try await journal.accept(Sample.record("t1"))
        try FileManager.default.removeItem(atPath: directory.database)
        for call in 0..<4 {
            let error = await #expect(throws: JournalError.self) {
                switch call {
                case 0: _ = try await journal.accept(Sample.record("t2"))
                case 1: try await journal.probe()
                case 2: try await journal.abort(TaskID("t1"))
                default: try await journal.limit(TaskID("t1"), mibS: 7)
                }
            }
            #expect(error?.code == .unusable)
            #expect(error?.message.contains("deleted or replaced") == true)
        }
        // Running tasks may still finish.
        try await journal.finish(TaskID("t1"), .success(Sample.result), at: Date())
        #expect(try await journal.record(TaskID("t1"))?.phase == .completed)
        await journal.close()
        let empty = try await directory.open()
        #expect(try await empty.unfinished().isEmpty)
        _ = try await empty.accept(Sample.record("t2"))
        await empty.close()
    }

    @Test func aDeletedLogIsNoticedAndNothingInItIsLost() async throws {
        let journal = try await directory.open()
        _ = try await journal.accept(Sample.record("t1"))
        try FileManager.default.removeItem(atPath: directory.database + "-wal")
        let error = await #expect(throws: JournalError.self) { _ = try await journal.accept(Sample.record("t2")) }
        #expect(error?.code == .unusable)
        #expect(error?.message.contains("-wal was deleted") == true)
        try await journal.enter(TaskID("t1"), .copying, plan: nil)
        try await journal.abort(TaskID("t1"))

        // The files that a killed process leaves.
        let crashed = try TemporaryDirectory()
        try FileManager.default.copyItem(atPath: directory.state, toPath: crashed.state)
        let again = try await crashed.open()
        #expect(try await again.unfinishedRecords().map(\.phase) == [.copying])
        #expect(try await again.record(TaskID("t1"))?.isAbortRequested == true)
        _ = try await again.accept(Sample.record("t2"))
        await again.close()
        await journal.close()
    }

    @Test func anEmptyFileBesideALogIsRefused() async throws {
        let journal = try await directory.open()
        _ = try await journal.accept(Sample.record("t1"))
        let crashed = try TemporaryDirectory()
        try FileManager.default.copyItem(atPath: directory.state, toPath: crashed.state)
        await journal.close()
        let file = try FileHandle(forWritingTo: URL(fileURLWithPath: crashed.database))
        try file.truncate(atOffset: 0)
        try file.close()
        for attempt in 0..<2 {
            let error = await #expect(throws: JournalError.self) { _ = try await crashed.open() }
            #expect(error?.code == .unusable)
            #expect(error?.message.contains("is empty, but") == true)
            #expect(error?.message.contains("move both away, and \(crashed.database)-shm, then restore a backup") == true)
            if attempt == 0 { try FileManager.default.removeItem(atPath: crashed.database) }
        }
        #expect(try FileManager.default.attributesOfItem(atPath: crashed.database + "-wal")[.size] as? Int ?? 0 > 0)
    }

    @Test func aNewFileHasItsFirstPageBeforeItHasALog() async throws {
        let journal = try await directory.open()
        _ = try await journal.accept(Sample.record("t1"))
        #expect(try FileManager.default.attributesOfItem(atPath: directory.database)[.size] as? Int ?? 0 > 0)
        await journal.close()
    }

    @Test func aRemovedLockLetsNobodyIn() async throws {
        let journal = try await directory.open()
        try FileManager.default.removeItem(atPath: directory.state + "/journal.lock")
        let error = await openError()
        #expect(error?.code == .unusable)
        #expect(error?.message.contains("in use by process") == true)
        _ = try await journal.accept(Sample.record("t1"))
        await journal.close()
    }

    @Test func aReaderHoldsNoCheckpointUp() async throws {
        let journal = try await directory.open()
        _ = try await journal.accept(Sample.record("t1"))
        var configuration = Configuration()
        configuration.allowsUnsafeTransactions = true
        let backup = try DatabaseQueue(path: directory.database, configuration: configuration)
        try await backup.writeWithoutTransaction { db in
            try db.execute(sql: "BEGIN")
            _ = try Int.fetchOne(db, sql: "SELECT count(*) FROM task")
        }
        _ = try await journal.accept(Sample.record("t2"))
        let began = ContinuousClock.now
        await journal.scrub()
        // A waiting checkpoint would wait for SQLite's whole time-out.
        #expect(ContinuousClock.now - began < .milliseconds(SQLiteJournal.busyMilliseconds))
        _ = try await journal.accept(Sample.record("t3"))
        try await backup.writeWithoutTransaction { db in try db.execute(sql: "COMMIT") }
        await journal.scrub()
        #expect(try FileManager.default.attributesOfItem(atPath: directory.database + "-wal")[.size] as? Int == 0)
        #expect(try journal.pragma("busy_timeout") == SQLiteJournal.busyMilliseconds)
        await journal.close()
    }

    @Test(arguments: [
        "UPDATE request SET args = 'no JSON' WHERE sequence = 2", "UPDATE task SET phase = 'lost' WHERE sequence = 2",
        "UPDATE plan SET plan = '{}' WHERE sequence = 2", "DELETE FROM request WHERE sequence = 2",
        "UPDATE task SET reply_to = '7' WHERE sequence = 2", Sample.losing("disk", of: "t2"), Sample.losing("phase", of: "t2"),
    ])
    func aTaskThatCannotBeReadHidesNoOther(damage: String) async throws {
        let lines = Mutex<[String]>([])
        let journal = try await directory.open { line in lines.withLock { $0.append(line) } }
        for index in 1...3 {
            _ = try await journal.accept(Sample.record("t\(index)"))
            try await journal.enter(TaskID("t\(index)"), .copying, plan: try Sample.plan)
        }
        try journal.execute(damage)
        #expect(try await journal.unfinished().map(\.id.text) == ["t1", "t3"])
        #expect(try await journal.records(SwapQuery()).map(\.id.text) == ["t3", "t1"])
        let error = await #expect(throws: JournalError.self) { _ = try await journal.record(TaskID("t2")) }
        #expect(error?.message.contains(Sample.argsSecret) == false, "\(damage)")
        #expect(try await journal.record(TaskID("t1")) != nil)
        // Sent again, it must not stop the journal from taking others.
        guard case .unreadable = try await journal.accept(Sample.record("t2")) else { return #expect(Bool(false), "\(damage)") }
        guard case .duplicate = try await journal.accept(Sample.record("t3")) else { return #expect(Bool(false)) }
        guard case .new = try await journal.accept(Sample.record("t4")) else { return #expect(Bool(false)) }
        let said = lines.withLock { $0 }
        #expect(said.count == 1 && said[0].contains("cannot be read") && said[0].contains("t2"), "\(said)")
        await journal.close()
    }
}

extension SQLiteJournal {
    func pragma(_ name: String) throws -> Int? { try fetchInt("PRAGMA \(name)") }
}
