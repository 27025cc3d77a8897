import JSON

/// Where connection_info says a volume is, before the host has been looked at.
package enum VolumeTarget: Sendable, Hashable {
    /// A host path; whether it is a file or a block device is the host's to say.
    case path(String)
    case network(NetworkLocation)
    /// Only the connector helper can tell.
    case connector
}

/// A share as nova mounts it, and the volume's file on it.
struct MountedShare: Sendable, Hashable {
    var export: String
    var mountPoint: String
    var name: String

    var path: String { "\(mountPoint)/\(name)" }
}

extension ConnectionInfo {
    /// The format of the bytes: `raw` unless the driver says `qcow2`.
    ///
    /// - Throws: ``SwapFailure`` of kind `invalidInput` for any other.
    package func format(argument: String) throws(SwapFailure) -> String {
        guard let value = data["format"], !value.isNull else { return "raw" }
        guard let format = value.stringValue, ["raw", "qcow2"].contains(format) else {
            throw .invalidInput("\(argument).data.format: must be raw or qcow2")
        }
        return format
    }

    /// The place this connection_info names, by the table of driver_volume_type.
    ///
    /// - Parameters:
    ///   - mountPointBase: the setting used when neither `data` nor its surroundings name a `mount_point_base`.
    ///   - attachesISCSI: whether an iSCSI volume is attached to the host by a connector, as nova does, not by QEMU's own initiator;
    ///     see ``attachesISCSI(hasConnector:prefersQEMU:)``.
    ///   - argument: names the argument in an error.
    package func target(mountPointBase: String, attachesISCSI: Bool = false, argument: String) throws(SwapFailure) -> VolumeTarget
    {
        if let path = text("device_path"), driverVolumeType != "rbd", driverVolumeType != "nbd" { return .path(path) }
        switch driverVolumeType {
        case "rbd": return .network(try rbd(argument))
        case "nbd": return .network(try nbd(argument))
        case "iscsi": return isMultipath || attachesISCSI ? .connector : .network(try iscsi(argument))
        case "scality": return .path(try scalityPath(mountPointBase, argument))
        case let type where Self.localTypes.contains(type):
            guard let share = try share(mountPointBase: mountPointBase, argument: argument) else {
                throw .invalidInput("\(argument).data.device_path: missing, and there is no export and name to build it from")
            }
            return .path(share.path)
        default:
            guard let share = try share(mountPointBase: mountPointBase, argument: argument) else { return .connector }
            return .path(share.path)
        }
    }

    /// Whether an iSCSI volume goes through the connector helper: where there is one, unless QEMU's own initiator is preferred.
    ///
    /// A target that admits only the host's IQN refuses that of QEMU.
    func attachesISCSI(hasConnector: Bool, prefersQEMU: Bool) -> Bool {
        hasConnector && !(data["prefer_qemu_initiator"]?.boolValue ?? prefersQEMU)
    }

    /// Kinds whose path is there without anybody attaching the volume.
    private static let localTypes: Set = [
        "local", "file", "lvm", "block", "nfs", "glusterfs", "smbfs", "quobyte", "scality", "vzstorage", "gpfs",
    ]

    /// Whether the volume, where a host path is its place, was attached to the host by a connector: pivotd's helper or nova's.
    var isHostAttached: Bool { !Self.localTypes.contains(driverVolumeType) && !["rbd", "nbd"].contains(driverVolumeType) }

    private var isMultipath: Bool {
        ["target_portals", "target_iqns", "target_luns"].contains { (data[$0]?.arrayValue?.count ?? 0) > 1 }
            || text("multipath_id") != nil
    }

    /// The mounted share that a volume without a path of its own is on, where nova mounts it: BASE/md5 of the export.
    ///
    /// - Returns: nil where no export and name say so.
    func share(mountPointBase setting: String, argument: String) throws(SwapFailure) -> MountedShare? {
        guard text("device_path") == nil, driverVolumeType != "scality", let export = text("export"), let name = text("name")
        else {
            return nil
        }
        guard !name.utf8.contains(UInt8(ascii: "/")), name != ".", name != ".." else {
            throw .invalidInput("\(argument).data.name: '\(name.prefix(80))' is not a file name")
        }
        let base = try mountPointBase(argument) ?? setting
        return MountedShare(export: export, mountPoint: "\(base)/\(MD5.hexDigest(normalized(export: export)))", name: name)
    }

    private func mountPointBase(_ argument: String) throws(SwapFailure) -> String? {
        guard let base = text("mount_point_base") ?? json["mount_point_base"]?.stringValue else { return nil }
        guard base.hasPrefix("/") else { throw .invalidInput("\(argument).mount_point_base: must be an absolute path") }
        return base
    }

    /// As `_normalize_export` of nova's drivers: quobyte's alone is a URL.
    private func normalized(export: String) -> String {
        let scheme = "quobyte://"
        return driverVolumeType == "quobyte" && export.hasPrefix(scheme) ? String(export.dropFirst(scheme.count)) : export
    }

    /// scality's file system is mounted once for all volumes, beside nova's other mounts; `sofs_path` leads to the file in it.
    private func scalityPath(_ setting: String, _ argument: String) throws(SwapFailure) -> String {
        guard let path = text("sofs_path") else {
            throw .invalidInput("\(argument).data.device_path: missing, and there is no sofs_path to build it from")
        }
        guard !path.split(separator: "/").contains("..") else {
            throw .invalidInput("\(argument).data.sofs_path: must not lead upwards")
        }
        let parent = setting.split(separator: "/").dropLast().map { "/\($0)" }.joined()
        return "\(try mountPointBase(argument) ?? "\(parent)/scality")/\(path)"
    }

    private func rbd(_ argument: String) throws(SwapFailure) -> NetworkLocation {
        let name = try requiredText("name", argument)
        guard name.contains("/") else { throw .invalidInput("\(argument).data.name: must be POOL/IMAGE") }
        let names = data["hosts"]?.arrayValue ?? []
        let ports = data["ports"]?.arrayValue ?? []
        var hosts: [NetworkLocation.Host] = []
        for (index, host) in names.enumerated() {
            guard let text = host.stringValue, !text.isEmpty else { throw .invalidInput("\(argument).data.hosts: must be texts") }
            hosts.append(
                .init(
                    name: Self.bare(text), port: index < ports.count ? try Self.port(ports[index], "\(argument).data.ports") : nil
                ))
        }
        return NetworkLocation(transport: "rbd", name: name, hosts: hosts)
    }

    private func nbd(_ argument: String) throws(SwapFailure) -> NetworkLocation {
        let host = try requiredText("host", argument)
        var port: Int?
        if let value = data["port"], !value.isNull { port = try Self.port(value, "\(argument).data.port") }
        let name = text("export") ?? text("export_name") ?? text("name") ?? ""
        return NetworkLocation(transport: "nbd", name: name, hosts: [.init(name: Self.bare(host), port: port)])
    }

    private func iscsi(_ argument: String) throws(SwapFailure) -> NetworkLocation {
        guard let portal = text("target_portal") ?? first("target_portals")?.stringValue else {
            throw .invalidInput("\(argument).data.target_portal: missing or not a text")
        }
        guard let iqn = text("target_iqn") ?? first("target_iqns")?.stringValue, !iqn.isEmpty else {
            throw .invalidInput("\(argument).data.target_iqn: missing or not a text")
        }
        let number = data["target_lun"].flatMap { $0.isNull ? nil : $0 } ?? first("target_luns")
        guard let lun = number.flatMap(Self.number), (0...16383).contains(lun) else {
            throw .invalidInput("\(argument).data.target_lun: missing or not a number from 0 to 16383")
        }
        // PORTAL may carry iSCSI's group tag (",1") and IPv6 brackets.
        let address = portal.split(separator: ",").first.map(String.init) ?? portal
        guard let colon = address.lastIndex(of: ":"), let port = Int(address[address.index(after: colon)...]),
            (1...65535).contains(port), !Self.bare(String(address[..<colon])).isEmpty
        else { throw .invalidInput("\(argument).data.target_portal: must be HOST:PORT") }
        return NetworkLocation(
            transport: "iscsi", name: "\(iqn)/\(lun)", hosts: [.init(name: Self.bare(String(address[..<colon])), port: port)])
    }

    private func first(_ key: String) -> JSONValue? { data[key]?.arrayValue?.first }

    /// `IQN/LUN` of each path that it names, one where all of them lead to one target.
    var iscsiTargets: [String] {
        guard driverVolumeType == "iscsi" else { return [] }
        var targets: [String] = []
        if let iqn = text("target_iqn"), let lun = data["target_lun"].flatMap(Self.number) { targets.append("\(iqn)/\(lun)") }
        let luns = data["target_luns"]?.arrayValue ?? []
        for (index, iqn) in (data["target_iqns"]?.arrayValue ?? []).enumerated() {
            let lun = (index < luns.count ? luns[index] : luns.first ?? data["target_lun"]).flatMap(Self.number)
            if let iqn = iqn.stringValue, let lun { targets.append("\(iqn)/\(lun)") }
        }
        return targets
    }

    package func requiredText(_ key: String, _ argument: String) throws(SwapFailure) -> String {
        guard let text = text(key) else { throw .invalidInput("\(argument).data.\(key): missing or not a text") }
        return text
    }

    private static func bare(_ host: String) -> String {
        host.hasPrefix("[") && host.hasSuffix("]") ? String(host.dropFirst().dropLast()) : host
    }

    private static func port(_ value: JSONValue, _ key: String) throws(SwapFailure) -> Int {
        guard let number = number(value), (1...65535).contains(number) else {
            throw .invalidInput("\(key): must be a port from 1 to 65535")
        }
        return Int(number)
    }

    /// Some drivers give numbers as text.
    static func number(_ value: JSONValue) -> Int64? { value.wholeValue ?? value.stringValue.flatMap(Int64.init) }
}
