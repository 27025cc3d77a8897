import Foundation
import Glibc
import VolumeSwap

/// The directory that holds the journal: private to its owner, and used by one process at a time.
struct StateDirectory: Sendable {
    let path: String

    var databasePath: String { path + "/journal.sqlite" }
    var lockPath: String { path + "/journal.lock" }

    /// Names a directory, whatever is there.
    init(named path: String) {
        self.path = path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
    }

    /// Creates the directory with mode 0700, or removes the rights of group and others from an existing one.
    ///
    /// - Throws: ``JournalError`` of code `unusable` for a directory that this process may not restrict.
    init(preparing path: String) throws(JournalError) {
        self.init(named: path)
        try makeDirectories()
        guard try isOpenToOthers() else { return }
        guard unsafe chmod(self.path, 0o700) == 0 else {
            throw JournalError(.unusable, "state directory \(self.path) cannot be made private: \(SystemCall.lastError())")
        }
    }

    /// Whether group or others have rights to the directory that can be removed.
    ///
    /// - Throws: ``JournalError`` of code `unusable` for a directory that this process may not restrict.
    func isOpenToOthers() throws(JournalError) -> Bool {
        var status = stat()
        guard unsafe stat(path, &status) == 0 else {
            throw JournalError(.unavailable, "state directory \(path): \(SystemCall.lastError())")
        }
        guard status.st_mode & S_IFMT == S_IFDIR else {
            throw JournalError(.unusable, "state directory \(path) is not a directory; set another state_dir")
        }
        guard status.st_uid == geteuid() else {
            throw JournalError(
                .unusable,
                "state directory \(path) belongs to user \(status.st_uid), not to \(geteuid()); change its owner, "
                    + "or set another state_dir")
        }
        guard status.st_mode & 0o077 != 0 else { return false }
        try refuseSharing(isSticky: status.st_mode & S_ISVTX != 0)
        return true
    }

    /// Creates the database file with mode 0600 regardless of the umask, and tightens existing files, `-wal` and `-shm` too.
    ///
    /// - Returns: the file's identity, to detect a replacement.
    func prepareDatabaseFile() throws(JournalError) -> FileIdentity {
        let descriptor = try SystemCall.openFile(databasePath)
        defer { _ = close(descriptor) }
        for suffix in ["-wal", "-shm"] { _ = unsafe chmod(databasePath + suffix, 0o600) }
        guard let identity = FileIdentity(descriptor: descriptor) else {
            throw JournalError(.unavailable, "\(databasePath): \(SystemCall.lastError())")
        }
        try refuseOrphanedLog(descriptor)
        return identity
    }

    /// Refuses an empty file beside a log: SQLite would discard the log, and the accepted tasks with it. A new journal has its
    /// first page before it has a log (``JournalSchema/create(path:)``).
    func refuseOrphanedLog(_ database: CInt) throws(JournalError) {
        let logPath = databasePath + "-wal"
        var (file, log) = (stat(), stat())
        guard unsafe fstat(database, &file) == 0, file.st_size == 0, unsafe stat(logPath, &log) == 0, log.st_size > 0 else {
            return
        }
        throw JournalError(
            .unusable,
            "\(databasePath) is empty, but \(logPath) beside it holds \(log.st_size) bytes of a journal; move both away, and "
                + "\(databasePath)-shm, then restore a backup, or start over without one: replies still owed are then lost")
    }

    private func makeDirectories() throws(JournalError) {
        if unsafe mkdir(path, 0o700) == 0 {
            guard unsafe chmod(path, 0o700) == 0 else {
                throw JournalError(.unavailable, "state directory \(path): \(SystemCall.lastError())")
            }
            return
        }
        if errno == EEXIST { return }
        guard errno == ENOENT else {
            throw JournalError(.unavailable, "state directory \(path) cannot be created: \(SystemCall.lastError())")
        }
        let parent = (path as NSString).deletingLastPathComponent
        do {
            try FileManager.default.createDirectory(atPath: parent.isEmpty ? "." : parent, withIntermediateDirectories: true)
        } catch {
            throw JournalError(.unavailable, "state directory \(path) cannot be created: \(error.localizedDescription)")
        }
        guard unsafe mkdir(path, 0o700) == 0 || errno == EEXIST else {
            throw JournalError(.unavailable, "state directory \(path) cannot be created: \(SystemCall.lastError())")
        }
    }

    /// Refuses shared directories: a `state_dir` of `/tmp` or `/var/lib` must not lock out the rest of the machine.
    private func refuseSharing(isSticky: Bool) throws(JournalError) {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
        guard !isSticky, names.isEmpty || names.contains("journal.sqlite") || names.contains("journal.lock") else {
            throw JournalError(
                .unusable,
                "state directory \(path) is open to others and holds more than a journal; chmod it to 0700, or set a "
                    + "state_dir of pivotd's own")
        }
    }
}

/// Identifies a file, to detect a replacement under the same name.
struct FileIdentity: Sendable, Hashable {
    private let device: UInt64
    private let inode: UInt64

    init?(descriptor: CInt) {
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0 else { return nil }
        device = UInt64(status.st_dev)
        inode = UInt64(status.st_ino)
    }

    init?(path: String) {
        var status = stat()
        guard unsafe stat(path, &status) == 0 else { return nil }
        device = UInt64(status.st_dev)
        inode = UInt64(status.st_ino)
    }
}

enum SystemCall {
    /// The message for `errno`.
    static func lastError() -> String { unsafe String(cString: strerror(errno)) }

    /// Opens or creates a file that only its owner may read, regardless of the umask.
    static func openFile(_ path: String) throws(JournalError) -> CInt {
        let descriptor = unsafe open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else {
            let code: JournalError.Code = errno == ENOSPC || errno == EROFS || errno == EIO ? .unavailable : .unusable
            throw JournalError(code, "\(path) cannot be opened: \(lastError())")
        }
        guard fchmod(descriptor, 0o600) == 0 else {
            let reason = lastError()
            _ = close(descriptor)
            throw JournalError(.unusable, "\(path) cannot be made private: \(reason)")
        }
        return descriptor
    }
}
