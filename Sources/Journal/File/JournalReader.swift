import Basics
import Dispatch
import Foundation
import GRDB
import Glibc
package import VolumeSwap

/// Reads tasks from the journal of a worker, whether that runs or not. Changes nothing and takes no lock that the worker needs.
package struct JournalReader: Sendable {
    /// A task as it is stored.
    package struct Task: Sendable {
        package let record: SwapRecord
        package let history: [HistoryEntry]
    }

    private let directory: StateDirectory

    /// - Parameter directory: the worker's `state_dir`.
    package init(directory: String) { self.directory = StateDirectory(named: directory) }

    /// Reads the tasks whose ids begin with `prefix`, newest first.
    ///
    /// - Throws: ``JournalError`` for a journal that is missing, not readable by this user, foreign or damaged.
    package func tasks(idPrefix prefix: String, limit: Int) async throws(JournalError) -> [Task] {
        try await DispatchQueue.global().run { Result { () throws(JournalError) in try read(prefix, limit) } }.get()
    }

    private func read(_ prefix: String, _ limit: Int) throws(JournalError) -> [Task] {
        let path = directory.databasePath
        guard unsafe access(path, R_OK) == 0 else { throw unreadable(path) }
        return try JournalSchema.reading(path: path, openedAs: openingName(path), isRead: false) { db in
            try Self.tasks(db, prefix, limit, path)
        }
    }

    private static func tasks(_ db: Database, _ prefix: String, _ limit: Int, _ path: String) throws -> [Task] {
        let sql = TaskRow.select + " WHERE id >= ? AND id < ? || char(1114111) ORDER BY id = ? DESC, task.sequence DESC LIMIT ?"
        return try Row.fetchAll(db, sql: sql, arguments: [prefix, prefix, prefix, limit]).map { row in
            Task(record: try TaskRow.record(row, path: path), history: try HistoryText.entries(db, of: TaskRow.id(row)))
        }
    }

    /// The log's index is there while a worker runs and after a crash; it must not be rebuilt by a reader.
    private func openingName(_ path: String) -> String {
        func exists(_ suffix: String) -> Bool { unsafe access(path + suffix, F_OK) == 0 }
        guard SQLiteURI.isSupported else { return path }
        if exists("-shm") { return SQLiteURI.name(path, "readonly_shm=1") }
        return exists("-wal") ? path : SQLiteURI.name(path, "immutable=1")
    }

    private func unreadable(_ path: String) -> JournalError {
        switch errno {
        case ENOENT: JournalError(.unusable, "there is no journal in \(directory.path); name the worker's state_dir")
        case EACCES: JournalError(.unusable, "\(path) cannot be read: run this as the worker's user, or as root")
        default: JournalError(.unavailable, "\(path) cannot be read: \(SystemCall.lastError())")
        }
    }
}
