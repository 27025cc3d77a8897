import VolumeSwap

/// Whether the files of an open journal are still those that their names lead to.
struct JournalFiles: Sendable {
    /// What is gone.
    enum Missing: Sendable {
        case database
        case log

        func error(_ path: String) -> JournalError {
            switch self {
            case .database:
                JournalError(
                    .unusable,
                    "the journal \(path) was deleted or replaced while in use; restart pivotd, nothing is accepted until then")
            case .log:
                JournalError(
                    .unusable,
                    "\(path)-wal was deleted while in use; all that was accepted is kept, restart pivotd, nothing is accepted until "
                        + "then")
            }
        }
    }

    let path: String
    let database: FileIdentity
    /// nil for a journal that has no write-ahead log.
    let log: FileIdentity?

    var missing: Missing? {
        if FileIdentity(path: path) != database { return .database }
        if let log, FileIdentity(path: path + "-wal") != log { return .log }
        return nil
    }
}
