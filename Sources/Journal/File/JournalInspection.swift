import Foundation
import Glibc
package import VolumeSwap

/// Inspects a state directory as a start would find it. Nothing is created, written or kept locked.
///
/// It throws what ``SQLiteJournal/open(directory:isDurable:logger:now:)`` would throw.
package struct JournalInspection: Sendable {
    /// The state of the directory.
    package enum Directory: Sendable, Hashable {
        /// Missing; a start creates it in this parent.
        case missing(parent: String)
        /// Present; a start removes the rights of group and others.
        case open
        /// Present and private.
        case closed
    }

    /// The state of the journal.
    package enum State: Sendable, Hashable {
        /// Missing; a start creates it.
        case missing
        /// A sound journal that no process has open.
        case sound
        /// A process has it open; its id, if known.
        case inUse(by: String?)
    }

    private let directory: StateDirectory

    /// - Parameter directory: the state directory; need not exist.
    package init(directory: String) { self.directory = StateDirectory(named: directory) }

    /// Checks the directory.
    ///
    /// - Throws: ``JournalError`` for a directory that a start cannot create or use.
    package func checkDirectory() throws(JournalError) -> Directory {
        guard exists(directory.path) else {
            let parent = existingParent
            guard isDirectory(parent) else {
                throw JournalError(
                    .unusable,
                    "state directory \(directory.path) cannot be created, since \(parent) is not a directory; set another state_dir"
                )
            }
            try requireWritable(parent, "state directory \(directory.path) cannot be created: \(parent)")
            return .missing(parent: parent)
        }
        let isOpen = try directory.isOpenToOthers()
        try requireWritable(directory.path, "state directory \(directory.path)")
        return isOpen ? .open : .closed
    }

    /// Checks the journal's files.
    ///
    /// - Throws: ``JournalError`` for files that a start cannot use.
    package func checkJournal() throws(JournalError) -> State {
        if let user { return user }
        do throws(JournalError) {
            for path in [directory.lockPath, directory.databasePath] { try checkFile(path) }
            guard exists(directory.databasePath) else { return .missing }
            try checkContent()
        } catch {
            // A process that opened it meanwhile may have changed what was read.
            guard let user else { throw error }
            return user
        }
        return .sound
    }

    private var user: State? {
        let (isHeld, owner) = ProcessLock.holder(path: directory.lockPath, directory: directory.path)
        return isHeld ? .inUse(by: owner) : nil
    }

    private func exists(_ path: String) -> Bool {
        var status = stat()
        return unsafe lstat(path, &status) == 0
    }

    private func isDirectory(_ path: String) -> Bool {
        var status = stat()
        return unsafe stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    private var existingParent: String {
        var path = directory.path
        repeat {
            path = (path as NSString).deletingLastPathComponent
            if path.isEmpty { return "." }
        } while !exists(path)
        return path
    }

    private func requireWritable(_ path: String, _ subject: String) throws(JournalError) {
        guard unsafe faccessat(AT_FDCWD, path, W_OK | X_OK, AT_EACCESS) == 0 else {
            throw JournalError(.unavailable, "\(subject): \(SystemCall.lastError())")
        }
    }

    /// Checks what ``SystemCall/openFile(_:)`` needs of an existing file.
    private func checkFile(_ path: String) throws(JournalError) {
        var status = stat()
        guard unsafe lstat(path, &status) == 0 else { return }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw JournalError(.unusable, "\(path) is not a regular file; move it away")
        }
        guard unsafe faccessat(AT_FDCWD, path, R_OK | W_OK, AT_EACCESS) == 0 else {
            throw JournalError(.unusable, "\(path) cannot be opened: \(SystemCall.lastError())")
        }
        guard status.st_uid == geteuid() || geteuid() == 0 else {
            throw JournalError(.unusable, "\(path) belongs to user \(status.st_uid), not to \(geteuid()); change its owner")
        }
    }

    private func checkContent() throws(JournalError) {
        let path = directory.databasePath
        let file = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard file >= 0 else { throw JournalError(.unusable, "\(path) cannot be opened: \(SystemCall.lastError())") }
        defer { _ = close(file) }
        try directory.refuseOrphanedLog(file)
        guard size(path) > 0, SQLiteURI.isSupported else { return }
        if size(path + "-wal") == 0 {
            try JournalSchema.check(path: path, openedAs: SQLiteURI.name(path, "immutable=1"), isRead: size(path) <= 64 << 20)
        } else if exists(path + "-shm") {
            try JournalSchema.check(path: path, openedAs: SQLiteURI.name(path, "readonly_shm=1"), isRead: size(path) <= 64 << 20)
        } else {
            // SQLite would have to create the -shm file; without it, the file is read as of some checkpoint.
            try JournalSchema.check(path: path, openedAs: SQLiteURI.name(path, "immutable=1"), isRead: false)
        }
    }

    private func size(_ path: String) -> Int {
        var status = stat()
        return unsafe stat(path, &status) == 0 ? Int(status.st_size) : 0
    }
}
