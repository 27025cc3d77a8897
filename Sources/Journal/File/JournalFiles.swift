import Foundation
import VolumeSwap

/// Detects whether an open journal's files were deleted or replaced under their names.
struct JournalFiles: Sendable {
    /// The file that is gone.
    enum Missing: Sendable {
        case database
        case log

        func error(_ path: String) -> JournalError {
            switch self {
            case .database:
                JournalError(
                    .unusable,
                    "the journal \(path) was deleted or replaced while in use; restart pivotd; nothing is accepted until then")
            case .log:
                JournalError(
                    .unusable,
                    "\(path)-wal was deleted while in use; accepted tasks are kept; restart pivotd; nothing is accepted until "
                        + "then")
            }
        }
    }

    let path: String
    let database: FileIdentity
    /// nil for a journal without a write-ahead log.
    let log: FileIdentity?

    /// Bytes of the database and its write-ahead log.
    var bytes: Int64 {
        [path, path + "-wal"].reduce(0) { sum, path in
            var status = stat()
            return unsafe stat(path, &status) == 0 ? sum + Int64(status.st_size) : sum
        }
    }

    var missing: Missing? {
        if FileIdentity(path: path) != database { return .database }
        if let log, FileIdentity(path: path + "-wal") != log { return .log }
        return nil
    }
}
