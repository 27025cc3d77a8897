import Foundation
import Settings

extension Doctor {
    /// For a helper's answer to `check`.
    private static let helperTimeout = Duration.seconds(20)

    func connectorHelper() async -> [Finding] {
        let name = "connector_helper"
        guard let path = configuration.hypervisor.connectorHelper else {
            return [.ok(name, "not set: volumes that must be attached to the host (fibre_channel, nvmeof, …) are refused")]
        }
        guard let status = FileStatus(path) else {
            return [.failure(name, "\(path) does not exist", remedy: "install it or unset connector_helper")]
        }
        guard !status.isDirectory, FileStatus.isExecutable(path) else {
            return [.failure(name, "\(path) is not executable", remedy: "chmod 0755 \(path)")]
        }
        // Such a helper is not run here.
        guard status.permissions & 0o022 == 0 else {
            return [.warning(name, "\(path) may be changed by other users", remedy: "chmod go-w \(path)")]
        }
        let timeout = min(Self.helperTimeout, configuration.hypervisor.connectorTimeout)
        let helper = ConnectorHelper(executable: path, timeout: timeout, logger: logger)
        guard helper.knowsCheck else {
            return [.ok(name, "\(path), which does not support a check")]
        }
        guard let problem = await helper.check() else { return [.ok(name, path)] }
        return [.failure(name, "\(path): \(problem)", remedy: "fix what it names, see deploy/connector/README.md")]
    }

    /// A missing directory may be mounted later; if none exists at all, every path is refused.
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
        let note = missing.isEmpty ? "" : ", currently missing: \(missing.joined(separator: ", "))"
        return [.ok(name, "\(paths.count) entries\(note)")]
    }
}
