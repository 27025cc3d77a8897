import Foundation
import Glibc
import Synchronization
import VolumeSwap

/// Keeps a second process out of a state directory: `flock` on a file that holds the owner's process id.
///
/// The kernel gives the lock back when its process ends, however it ends.
final class ProcessLock: Sendable {
    private let descriptor: Mutex<CInt?>

    init(path: String) throws(JournalError) {
        let file = try SystemCall.openFile(path)
        guard flock(file, LOCK_EX | LOCK_NB) == 0 else {
            let isHeld = errno == EWOULDBLOCK
            let reason = SystemCall.lastError()
            let owner = Self.owner(file)
            _ = close(file)
            guard isHeld else { throw JournalError(.unavailable, "\(path) cannot be locked: \(reason)") }
            throw JournalError(
                .unusable,
                "the journal is in use by process \(owner ?? "?") (\(path)); stop that process, or give another state_dir")
        }
        _ = ftruncate(file, 0)
        let text = "\(getpid())\n"
        // Only the message of the next process depends on it.
        _ = unsafe pwrite(file, text, text.utf8.count, 0)
        descriptor = Mutex(file)
    }

    deinit { release() }

    func release() {
        descriptor.withLock { file in
            if let file { _ = close(file) }
            file = nil
        }
    }

    private static func owner(_ file: CInt) -> String? {
        var bytes = [UInt8](repeating: 0, count: 32)
        let count = unsafe pread(file, &bytes, bytes.count, 0)
        guard count > 0 else { return nil }
        let digits = bytes.prefix(count).prefix { (48...57).contains($0) }
        return digits.isEmpty ? nil : String(decoding: digits, as: UTF8.self)
    }
}
