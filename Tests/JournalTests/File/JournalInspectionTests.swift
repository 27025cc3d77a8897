import Foundation
import Testing
import VolumeSwap

@testable import Journal

@Suite("JournalInspection") struct JournalInspectionTests {
    let directory: TemporaryDirectory
    let inspection: JournalInspection

    init() throws {
        directory = try TemporaryDirectory()
        inspection = JournalInspection(directory: directory.state)
    }

    /// The result of `body`, checking that it leaves every file of the state directory as it was, and adds none.
    private func leavingAllAsItIs<Result>(_ body: () throws -> Result) throws -> Result {
        let before = try files()
        defer { #expect((try? files()) == before) }
        return try body()
    }

    private func files() throws -> [String: Data] {
        guard FileManager.default.fileExists(atPath: directory.state) else { return [:] }
        return try FileManager.default.contentsOfDirectory(atPath: directory.state).reduce(into: [:]) { files, name in
            let path = directory.state + "/" + name
            let attributes = try FileManager.default.attributesOfItem(atPath: path)
            let date = try #require(attributes[.modificationDate] as? Date)
            files[name] = try Data("\(date.timeIntervalSinceReferenceDate)".utf8) + Data(contentsOf: URL(fileURLWithPath: path))
        }
    }

    /// A journal as a crash leaves it: a log beside it, the lock free.
    private func crashedJournal() async throws {
        let journal = try await directory.open()
        _ = try await journal.accept(Sample.record("t2"))
        let copy = directory.path + "/copy"
        try FileManager.default.copyItem(atPath: directory.state, toPath: copy)
        await journal.close()
        try FileManager.default.removeItem(atPath: directory.state)
        try FileManager.default.moveItem(atPath: copy, toPath: directory.state)
    }

    private func closedJournal() async throws {
        let journal = try await directory.open()
        _ = try await journal.accept(Sample.record("t1"))
        await journal.close()
    }

    private func overwrite(at offset: UInt64, _ bytes: Data) throws {
        let file = try #require(FileHandle(forUpdatingAtPath: directory.database))
        try file.seek(toOffset: offset)
        try file.write(contentsOf: bytes)
        try file.close()
    }

    private func refusal() throws -> String {
        try leavingAllAsItIs {
            let error = #expect(throws: JournalError.self) { try inspection.checkJournal() }
            #expect(error?.code == .unusable)
            return error?.message ?? ""
        }
    }

    @Test("nothing there yet")
    func nothing() throws {
        #expect(try inspection.checkDirectory() == .missing(parent: directory.path))
        #expect(try JournalInspection(directory: directory.state + "/a/b").checkDirectory() == .missing(parent: directory.path))
        #expect(!FileManager.default.fileExists(atPath: directory.state))
        try FileManager.default.createDirectory(atPath: directory.state, withIntermediateDirectories: false)
        #expect(try leavingAllAsItIs { try inspection.checkJournal() } == .missing)
    }

    @Test("a closed journal and one left by a crash are sound and left alone")
    func sound() async throws {
        try await closedJournal()
        #expect(try leavingAllAsItIs { try inspection.checkJournal() } == .sound)
        #expect(try inspection.checkDirectory() == .closed)
        try await crashedJournal()
        let log = try FileManager.default.attributesOfItem(atPath: directory.database + "-wal")[.size] as? Int
        #expect(log ?? 0 > 0)
        #expect(try leavingAllAsItIs { try inspection.checkJournal() } == .sound)
        try FileManager.default.removeItem(atPath: directory.database + "-shm")
        #expect(try leavingAllAsItIs { try inspection.checkJournal() } == .sound)
    }

    @Test("a journal in use names its process, and can be opened again afterwards")
    func inUse() async throws {
        let journal = try await directory.open()
        #expect(try leavingAllAsItIs { try inspection.checkJournal() } == .inUse(by: "\(getpid())"))
        await journal.close()
        #expect(try inspection.checkJournal() == .sound)
        await (try await directory.open()).close()
    }

    @Test("a file that is foreign, damaged, newer, or empty beside its log is refused")
    func unusable() async throws {
        try await closedJournal()
        try overwrite(at: 4096, Data(repeating: 0xff, count: 4096))
        #expect(try refusal().contains("is damaged"))

        try Data("no database".utf8).write(to: URL(fileURLWithPath: directory.database))
        #expect(try refusal().contains("is not a journal"))

        try FileManager.default.removeItem(atPath: directory.database)
        try await closedJournal()
        try overwrite(at: 68, Data([1, 2, 3, 4]))  // the application_id
        #expect(try refusal().contains("a database of another program"))

        try FileManager.default.removeItem(atPath: directory.database)
        let journal = try await directory.open()
        try journal.execute("INSERT INTO grdb_migrations VALUES ('v999')")
        await journal.close()
        #expect(try refusal().contains("written by a newer pivotd"))

        try Data().write(to: URL(fileURLWithPath: directory.database))
        try Data("log".utf8).write(to: URL(fileURLWithPath: directory.database + "-wal"))
        #expect(try refusal().contains("is empty, but"))
    }

    @Test("files in the way are refused")
    func inTheWay() throws {
        try FileManager.default.createDirectory(atPath: directory.state, withIntermediateDirectories: false)
        let elsewhere = directory.path + "/elsewhere"
        try Data().write(to: URL(fileURLWithPath: elsewhere))
        try FileManager.default.createSymbolicLink(atPath: directory.database, withDestinationPath: elsewhere)
        #expect(try refusal().contains("not a regular file"))
    }

    @Test("a directory that a start would refuse or make private")
    func rights() throws {
        try FileManager.default.createDirectory(atPath: directory.state, withIntermediateDirectories: false)
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: directory.state)
        #expect(try inspection.checkDirectory() == .open)
        #expect(try directory.mode(directory.state) == 0o755)
        try Data().write(to: URL(fileURLWithPath: directory.state + "/other"))
        let error = #expect(throws: JournalError.self) { try inspection.checkDirectory() }
        #expect(error?.message.contains("holds more than a journal") == true)
        #expect(throws: JournalError.self) { try JournalInspection(directory: directory.state + "/other").checkDirectory() }
        #expect(throws: JournalError.self) { try JournalInspection(directory: directory.state + "/other/below").checkDirectory() }
    }
}
