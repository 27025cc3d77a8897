import Foundation
import SystemPackage

/// What stat(2), faccessat(2) and statvfs(3) say, with symbolic links followed, of the effective user's rights.
struct FileStatus {
    let isDirectory: Bool
    let permissions: mode_t

    init?(_ path: String) {
        guard let status = try? Stat(FilePath(path)) else { return nil }
        isDirectory = status.type == .directory
        permissions = status.permissions.rawValue
    }

    static func isReadable(_ path: String) -> Bool { may(path, R_OK) }
    static func isWritable(_ path: String) -> Bool { may(path, W_OK | X_OK) }
    static func isExecutable(_ path: String) -> Bool { may(path, X_OK) }

    private static func may(_ path: String, _ mode: CInt) -> Bool {
        unsafe faccessat(AT_FDCWD, path, mode, AT_EACCESS) == 0
    }
}

/// What may still be written to the file system that holds a path.
struct FreeSpace {
    let bytes: Int64
    /// Whether another file can be created.
    let hasFiles: Bool

    init?(_ path: String) {
        var status = statvfs()
        guard unsafe statvfs(path, &status) == 0 else { return nil }
        // What is kept for root counts for root alone.
        let blocks = geteuid() == 0 ? status.f_bfree : status.f_bavail
        bytes = Int64(clamping: UInt64(blocks) &* UInt64(status.f_frsize))
        // Some file systems do not count files.
        hasFiles = status.f_files == 0 || status.f_ffree > 0
    }
}
