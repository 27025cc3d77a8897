import JSON
import OrderedCollections

/// Where connection_info says a volume is, before the host has been looked at.
package enum VolumeTarget: Sendable, Hashable {
    /// A host path; whether it is a file or a block device is the host's to say.
    case path(String)
    case network(NetworkLocation)
    /// Only the connector helper can tell.
    case connector
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
    ///   - argument: names the argument in an error.
    package func target(mountPointBase: String, argument: String) throws(SwapFailure) -> VolumeTarget {
        if let path = text("device_path"), driverVolumeType != "rbd", driverVolumeType != "nbd" { return .path(path) }
        switch driverVolumeType {
        case "rbd": return .network(try rbd(argument))
        case "nbd": return .network(try nbd(argument))
        case "iscsi": return isMultipath ? .connector : .network(try iscsi(argument))
        case let type where Self.localTypes.contains(type):
            return .path(try mountedPath(mountPointBase, argument))
        default:
            return data["export"]?.stringValue != nil && data["name"]?.stringValue != nil
                ? .path(try mountedPath(mountPointBase, argument)) : .connector
        }
    }

    /// Kinds whose path is there without anybody attaching the volume.
    private static let localTypes: Set = [
        "local", "file", "lvm", "block", "nfs", "glusterfs", "smbfs", "quobyte", "scality", "vzstorage", "gpfs",
    ]

    /// Whether the volume, where a host path is its place, was attached to the host by a connector: pivotd's helper or nova's.
    var isHostAttached: Bool { !Self.localTypes.contains(driverVolumeType) && !["rbd", "nbd"].contains(driverVolumeType) }

    private var isMultipath: Bool {
        (data["target_portals"]?.arrayValue?.count ?? 0) > 1 || text("multipath_id") != nil
    }

    private func mountedPath(_ setting: String, _ argument: String) throws(SwapFailure) -> String {
        guard let export = text("export"), let name = text("name") else {
            throw .invalidInput("\(argument).data.device_path: missing, and there is no export and name to build it from")
        }
        guard !name.utf8.contains(UInt8(ascii: "/")), name != ".", name != ".." else {
            throw .invalidInput("\(argument).data.name: '\(name.prefix(80))' is not a file name")
        }
        let base = text("mount_point_base") ?? json["mount_point_base"]?.stringValue ?? setting
        guard base.hasPrefix("/") else { throw .invalidInput("\(argument).mount_point_base: must be an absolute path") }
        return "\(base)/\(MD5.hexDigest(export))/\(name)"
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
        let portal = try requiredText("target_portal", argument)
        let iqn = try requiredText("target_iqn", argument)
        guard let lun = data["target_lun"].flatMap(Self.number), (0...16383).contains(lun) else {
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
