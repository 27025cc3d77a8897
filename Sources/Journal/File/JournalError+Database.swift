import GRDB
import VolumeSwap

extension JournalError {
    /// Translates SQLite's error into what it means for the journal, with a remedy.
    init(_ error: any Error, path: String) {
        if let error = error as? JournalError {
            self = error
            return
        }
        guard let error = error as? DatabaseError else {
            // Only its type: GRDB's RowDecodingError prints the whole row, with its secrets.
            self.init(.unavailable, "the journal \(path) failed: \(type(of: error))")
            return
        }
        let text = error.message ?? "SQLite error \(error.extendedResultCode.rawValue)"
        switch error.resultCode {
        case .SQLITE_FULL:
            self.init(
                .unavailable, "the journal \(path) cannot be written: \(text); free some space; nothing is accepted until then")
        case .SQLITE_IOERR, .SQLITE_READONLY, .SQLITE_CANTOPEN:
            self.init(
                .unavailable,
                "the journal \(path) failed: \(text) (SQLite error \(error.extendedResultCode.rawValue)); check the disk and its "
                    + "permissions; nothing is accepted until then")
        case .SQLITE_NOTADB:
            self.init(.unusable, "\(path) is not a journal (\(text)); move it away, or set another state_dir")
        case .SQLITE_CORRUPT: self = .damaged(path, text)
        case .SQLITE_MISUSE:
            self = .closed(path)
        default:
            self.init(.unavailable, "the journal \(path) failed: \(text) (SQLite error \(error.extendedResultCode.rawValue))")
        }
    }

    /// The log goes with its file: SQLite would play it into a backup that takes the file's place.
    static func damaged(_ path: String, _ reason: String) -> JournalError {
        JournalError(
            .unusable,
            "the journal \(path) is damaged (\(reason)); move it away with its -wal and -shm, then restore a backup, or start over "
                + "without one: domains are then restored from their own metadata, but replies still owed are lost")
    }

    static func closed(_ path: String) -> JournalError { JournalError(.unavailable, "the journal \(path) is closed") }
}
