import Foundation

extension Doctor {
    /// Free space below which the journal may soon not be written.
    private static let wantedSpace: Int64 = 64 << 20

    /// The configuration has been read; its file may hold the broker's password.
    func configurationFile() -> [Finding] {
        let name = "configuration"
        guard let status = FileStatus(file) else {
            return [.ok(name, "\(file) is not there: defaults, environment and flags count")]
        }
        guard status.permissions & 0o022 == 0 else {
            return [.warning(name, "\(file) may be changed by other users", remedy: "chmod go-w \(file)")]
        }
        guard status.permissions & 0o004 == 0 else {
            return [
                .warning(
                    name, "\(file) may be read by everybody",
                    remedy: "chmod 0640 \(file), or keep passwords in transport_url_file")
            ]
        }
        return [.ok(name, file)]
    }

    /// The journal's directory: there, this user's, private, writable, with room.
    func stateDirectory() -> [Finding] {
        let name = "state_dir"
        let path = configuration.daemon.stateDirectory
        guard let status = FileStatus(path) else {
            let parent = URL(fileURLWithPath: path).deletingLastPathComponent().path
            guard FileStatus.isWritable(parent) else {
                return [.failure(name, "\(path) does not exist and cannot be made", remedy: "make it, with mode 0700")]
            }
            return [.ok(name, "\(path) does not exist yet: pivotd run makes it")]
        }
        guard status.isDirectory else {
            return [.failure(name, "\(path) is no directory", remedy: "move it away or set state_dir to another path")]
        }
        var findings: [Finding] = []
        if status.owner != geteuid() {
            findings.append(
                .warning(name, "\(path) belongs to user \(status.owner), not \(geteuid())", remedy: "chown \(geteuid()) \(path)"))
        }
        if status.permissions & 0o077 != 0 {
            let mode = String(status.permissions, radix: 8)
            findings.append(
                .warning(name, "\(path) has mode 0\(mode): other users may read the journal", remedy: "chmod 0700 \(path)"))
        }
        if !FileStatus.isWritable(path) {
            findings.append(.failure(name, "\(path) cannot be written", remedy: "give it to the user that runs pivotd"))
        }
        if let free = FileStatus.freeSpace(path), free < Self.wantedSpace {
            findings.append(
                .warning(name, "\(path) has only \(free >> 20) MiB free", remedy: "make room: a full disk stops all swaps"))
        }
        return findings.isEmpty ? [.ok(name, "\(path) is private and writable")] : findings
    }

    func connectorHelper() -> [Finding] {
        let name = "connector_helper"
        guard let path = configuration.hypervisor.connectorHelper else {
            return [.ok(name, "not set: volumes that need host attach (fibre_channel, nvmeof, …) are refused")]
        }
        guard let status = FileStatus(path) else {
            return [.failure(name, "\(path) does not exist", remedy: "install it or unset connector_helper")]
        }
        guard !status.isDirectory, FileStatus.isExecutable(path) else {
            return [.failure(name, "\(path) is not executable", remedy: "chmod 0755 \(path)")]
        }
        guard status.permissions & 0o022 == 0 else {
            return [.warning(name, "\(path) may be changed by other users", remedy: "chmod go-w \(path)")]
        }
        return [.ok(name, path)]
    }

    /// A directory that is missing may be mounted later; with none at all every path is refused.
    func allowedPaths() -> [Finding] {
        let name = "allowed_paths"
        let paths = configuration.hypervisor.allowedPaths
        let directories = paths.filter { !$0.contains { "*?[".contains($0) } }
        let missing = directories.filter { FileStatus($0) == nil }
        if paths.isEmpty {
            return [
                .warning(name, "none: every file and block device is refused", remedy: "name the directories of the volumes")
            ]
        }
        if !directories.isEmpty, missing.count == directories.count, directories.count == paths.count {
            return [
                .warning(
                    name, "none of them exists: \(missing.joined(separator: ", "))", remedy: "name the directories of the volumes"
                )
            ]
        }
        let note = missing.isEmpty ? "" : ", not there now: \(missing.joined(separator: ", "))"
        return [.ok(name, "\(paths.count) entries\(note)")]
    }
}

/// What stat(2), access(2) and statvfs(3) say, with symbolic links followed.
struct FileStatus {
    let isDirectory: Bool
    let owner: uid_t
    let permissions: mode_t

    init?(_ path: String) {
        var status = stat()
        guard unsafe stat(path, &status) == 0 else { return nil }
        isDirectory = status.st_mode & S_IFMT == S_IFDIR
        owner = status.st_uid
        permissions = status.st_mode & 0o7777
    }

    static func isWritable(_ path: String) -> Bool { unsafe access(path, W_OK | X_OK) == 0 }
    static func isExecutable(_ path: String) -> Bool { unsafe access(path, X_OK) == 0 }

    /// Bytes that this user may still write.
    static func freeSpace(_ path: String) -> Int64? {
        var status = statvfs()
        guard unsafe statvfs(path, &status) == 0 else { return nil }
        return Int64(clamping: UInt64(status.f_bavail) &* UInt64(status.f_frsize))
    }
}
