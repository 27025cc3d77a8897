import Foundation
import SystemPackage

/// Results of stat(2), faccessat(2) and statvfs(3), following symbolic links, for the effective user.
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

/// The free space of a path's file system.
struct FreeSpace {
    let bytes: Int64
    /// Whether another file can be created.
    let hasFiles: Bool

    init?(_ path: String) {
        var status = statvfs()
        guard unsafe statvfs(path, &status) == 0 else { return nil }
        // Reserved blocks are only available to root.
        let blocks = geteuid() == 0 ? status.f_bfree : status.f_bavail
        bytes = Int64(clamping: UInt64(blocks) &* UInt64(status.f_frsize))
        // Some file systems do not count inodes.
        hasFiles = status.f_files == 0 || status.f_ffree > 0
    }
}
