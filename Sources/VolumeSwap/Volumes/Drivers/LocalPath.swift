import Basics
import JSON

/// Volumes at a host path that needs no attaching: one in `device_path`, or a file on a share where nova mounts it (`nfs.py`,
/// `smbfs.py`, `quobyte.py` and others).
struct LocalPath: VolumeDriver {
    let types: [String]
    let isOnShare: Bool
    /// The prefix that nova's driver strips from an export before hashing it (`_normalize_export`): quobyte's is a URL.
    var scheme = ""
    let members: [String: ConnectionInfo.Member] = ["export": .text, "name": .text, "mount_point_base": .text]
    let isHostAttached = false

    func target(of connection: ConnectionInfo, _ context: DriverContext) throws(SwapFailure) -> VolumeTarget {
        if let path = connection.devicePath { return .path(path) }
        guard let share = try share(of: connection, context) else {
            throw .invalidInput(
                "\(context.argument).data.device_path: missing, and there is no export and name to build it from")
        }
        return .path(share.path)
    }

    func share(of connection: ConnectionInfo, _ context: DriverContext) throws(SwapFailure) -> ShareLocation? {
        try ShareLocation(connection, context, scheme: scheme)
    }
}

/// A share as nova mounts it, and the volume's file on it.
struct ShareLocation: Sendable, Hashable {
    let export: String
    /// `BASE/md5(export)`
    let mountPoint: String
    let name: String

    var path: String { "\(mountPoint)/\(name)" }

    /// - Returns: nil if connection_info names a path, or lacks an export or a name.
    init?(_ connection: ConnectionInfo, _ context: DriverContext, scheme: String = "") throws(SwapFailure) {
        guard connection.devicePath == nil, let export = connection.text("export"), let name = connection.text("name") else {
            return nil
        }
        guard !name.utf8.contains(UInt8(ascii: "/")), name != ".", name != ".." else {
            throw .invalidInput("\(context.argument).data.name: '\(name.cut(to: 80))' is not a file name")
        }
        let base = try connection.mountPointBase(context) ?? context.mountPointBase
        self.export = export
        self.name = name
        mountPoint = "\(base)/\(MD5.hexDigest(export.hasPrefix(scheme) ? String(export.dropFirst(scheme.count)) : export))"
    }
}

extension ConnectionInfo {
    func mountPointBase(_ context: DriverContext) throws(SwapFailure) -> String? {
        guard let base = text("mount_point_base") ?? json["mount_point_base"]?.stringValue else { return nil }
        guard base.hasPrefix("/") else {
            throw .invalidInput("\(context.argument).mount_point_base: must be an absolute path")
        }
        return base
    }
}
