import Foundation
import GRDB
import VolumeSwap

/// The journal's tables, version by version, and the check that a file is a journal.
///
/// Large data that seldom changes is in tables of its own, by the task's sequence number, so that a phase rewrites few bytes.
enum JournalSchema {
    /// `pivt`, in SQLite's `application_id`.
    static let applicationID: Int32 = 0x7069_7674

    static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("v1") { db in
            try db.execute(
                sql: """
                    CREATE TABLE task (
                        sequence INTEGER PRIMARY KEY,
                        id TEXT NOT NULL UNIQUE,
                        instance_key TEXT NOT NULL,
                        disk TEXT NOT NULL,
                        reply_to TEXT,
                        accepted_at REAL NOT NULL,
                        started_at REAL,
                        finished_at REAL,
                        phase TEXT NOT NULL,
                        result TEXT,
                        failure TEXT,
                        is_settled INTEGER NOT NULL DEFAULT 0,
                        history TEXT NOT NULL DEFAULT ''
                    ) STRICT;
                    CREATE TABLE request (sequence INTEGER PRIMARY KEY, args TEXT NOT NULL, context TEXT NOT NULL) STRICT;
                    CREATE TABLE plan (sequence INTEGER PRIMARY KEY, plan TEXT NOT NULL) STRICT;
                    CREATE INDEX task_by_disk ON task (instance_key, disk);
                    CREATE INDEX task_unsettled ON task (sequence) WHERE is_settled = 0;
                    CREATE INDEX task_settled ON task (finished_at) WHERE is_settled = 1;
                    CREATE TABLE probe (id INTEGER PRIMARY KEY, at REAL NOT NULL) STRICT;
                    """)
        }
        migrator.registerMigration("v2") { db in try db.execute(sql: "ALTER TABLE task ADD COLUMN bandwidth_mib_s INTEGER") }
        migrator.registerMigration("v3") { db in try db.execute(sql: "ALTER TABLE task ADD COLUMN is_abort_requested INTEGER") }
        return migrator
    }

    /// Drops indexes that a journal of one process does not need: they serve restarts and the hourly pruning.
    static func dropRestartIndexes(_ database: any DatabaseWriter) throws {
        try database.writeWithoutTransaction { db in
            try db.execute(sql: "DROP INDEX IF EXISTS task_unsettled; DROP INDEX IF EXISTS task_settled")
        }
    }

    /// Checks a file before anything is written to it.
    ///
    /// - Throws: ``JournalError`` of code `unusable` for a file that is not a journal, is damaged, or is from a newer version.
    static func check(path: String) throws(JournalError) {
        guard let size = try? FileManager.default.attributesOfItem(atPath: path)[.size] as? Int, size > 0 else { return }
        // Reading takes about a second per gigabyte: a larger file is checked page by page as it is used.
        try check(path: path, openedAs: path, isRead: size <= 64 << 20)
    }

    /// - Parameters:
    ///   - name: the file's name for SQLite, possibly a URI with parameters.
    ///   - isRead: whether to also check for damage, by reading the whole file.
    static func check(path: String, openedAs name: String, isRead: Bool) throws(JournalError) {
        try reading(path: path, openedAs: name, isRead: isRead) { _ in }
    }

    /// Opens a file for reading alone, checks it, and reads from it.
    ///
    /// - Parameters:
    ///   - name: the file's name for SQLite, possibly a URI with parameters.
    ///   - isRead: whether to also check for damage, by reading the whole file.
    static func reading<Value>(
        path: String, openedAs name: String, isRead: Bool, _ body: (Database) throws -> Value
    ) throws(JournalError) -> Value {
        var configuration = Configuration()
        configuration.readonly = true
        configuration.busyMode = .timeout(5)
        do {
            let queue = try DatabaseQueue(path: name, configuration: configuration)
            defer { try? queue.close() }
            return try queue.read { db in
                try check(db, path: path, isRead: isRead)
                return try body(db)
            }
        } catch {
            throw JournalError(error, path: path)
        }
    }

    private static func check(_ db: Database, path: String, isRead: Bool) throws {
        let identifier = try Int32.fetchOne(db, sql: "PRAGMA application_id") ?? 0
        let tables = try Int.fetchOne(db, sql: "SELECT count(*) FROM sqlite_master") ?? 0
        guard identifier == applicationID || (identifier == 0 && tables == 0) else {
            throw JournalError(
                .unusable,
                "\(path) is a database of another program (application_id \(identifier)); move it away, or set another state_dir"
            )
        }
        if try migrator.hasBeenSuperseded(db) {
            throw JournalError(
                .unusable,
                "\(path) was written by a newer pivotd; reinstall that version, or move it away with its -wal and -shm when "
                    + "no swap is unfinished")
        }
        guard isRead else { return }
        let verdict = try String.fetchOne(db, sql: "PRAGMA quick_check(1)") ?? "ok"
        guard verdict == "ok" else { throw JournalError.damaged(path, verdict) }
    }

    /// Writes the first page of an empty file, without a write-ahead log.
    static func create(path: String) throws {
        guard try FileManager.default.attributesOfItem(atPath: path)[.size] as? Int == 0 else { return }
        let queue = try DatabaseQueue(path: path)
        try queue.writeWithoutTransaction { db in try db.execute(sql: "PRAGMA application_id = \(applicationID)") }
        try queue.close()
    }

    /// Migrates a journal or empty file to the current version.
    static func migrate(_ database: any DatabaseWriter) throws {
        try database.writeWithoutTransaction { db in
            try db.execute(sql: "PRAGMA application_id = \(applicationID)")
        }
        try migrator.migrate(database)
        // Writes the application_id into the file itself, for `file` and for the next start.
        try database.writeWithoutTransaction { db in _ = try db.checkpoint(.truncate) }
    }
}
