import Foundation
import Glibc
import Synchronization
import VolumeSwap

/// Keeps other processes out of a state directory: `flock` on the directory itself and on a file with the owner's id.
///
/// The file can be removed while it is locked, the directory cannot. The kernel releases the locks whenever the process ends.
final class ProcessLock: Sendable {
    private let descriptors: Mutex<[CInt]>

    init(path: String, directory: String) throws(JournalError) {
        let folder = unsafe open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard folder >= 0 else { throw JournalError(.unavailable, "\(directory) cannot be opened: \(SystemCall.lastError())") }
        do throws(JournalError) {
            // Some network file systems cannot lock directories; then the file has to do.
            if flock(folder, LOCK_EX | LOCK_NB) != 0, errno == EWOULDBLOCK { throw Self.inUse(path, Self.owner(path)) }
            descriptors = Mutex([folder, try Self.lockFile(path)])
        } catch {
            _ = close(folder)
            throw error
        }
    }

    private static func lockFile(_ path: String) throws(JournalError) -> CInt {
        let file = try SystemCall.openFile(path)
        guard flock(file, LOCK_EX | LOCK_NB) == 0 else {
            let isHeld = errno == EWOULDBLOCK
            let reason = SystemCall.lastError()
            let owner = owner(file)
            _ = close(file)
            guard isHeld else { throw JournalError(.unavailable, "\(path) cannot be locked: \(reason)") }
            throw inUse(path, owner)
        }
        _ = ftruncate(file, 0)
        let text = "\(getpid())\n"
        // Only another process's error message depends on it.
        _ = unsafe pwrite(file, text, text.utf8.count, 0)
        return file
    }

    private static func inUse(_ path: String, _ owner: String?) -> JournalError {
        JournalError(
            .unusable,
            "the journal is in use by process \(owner ?? "?") (\(path)); stop that process, or set another state_dir")
    }

    /// Whether a process holds the lock, and its id if known. Tries the lock for an instant.
    static func holder(path: String, directory: String) -> (isHeld: Bool, owner: String?) {
        let isHeld = [(directory, O_DIRECTORY), (path, O_NOFOLLOW)].contains { name, flags in
            let file = unsafe open(name, O_RDONLY | O_CLOEXEC | flags)
            guard file >= 0 else { return false }
            defer { giveBack(file) }
            return flock(file, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK
        }
        return (isHeld, isHeld ? owner(path) : nil)
    }

    deinit { release() }

    func release() {
        descriptors.withLock { files in
            for file in files { Self.giveBack(file) }
            files = []
        }
    }

    /// Unlocks before closing: a forked child that has not exec'ed yet has the file open too.
    private static func giveBack(_ file: CInt) {
        _ = flock(file, LOCK_UN)
        _ = close(file)
    }

    private static func owner(_ path: String) -> String? {
        let file = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard file >= 0 else { return nil }
        defer { _ = close(file) }
        return owner(file)
    }

    private static func owner(_ file: CInt) -> String? {
        var bytes = [UInt8](repeating: 0, count: 32)
        let count = unsafe pread(file, &bytes, bytes.count, 0)
        guard count > 0 else { return nil }
        let digits = bytes.prefix(count).prefix { (48...57).contains($0) }
        return digits.isEmpty ? nil : String(decoding: digits, as: UTF8.self)
    }
}
