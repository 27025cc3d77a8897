import Basics
import Foundation
import JSON

/// LUNs of an iSCSI target, reached by QEMU's own initiator or attached to the host by a connector.
struct ISCSI: NetworkVolumeDriver {
    let types = ["iscsi"]
    let members: [String: ConnectionInfo.Member] = [
        "target_portal": .text, "target_iqn": .text, "target_lun": .open, "target_portals": .list, "target_iqns": .list,
        "target_luns": .list, "auth_username": .text, "auth_password": .text, "prefer_qemu_initiator": .boolean,
    ]
    let isHostAttached = true
    let networkProtocol = "iscsi"
    let defaultPort = 3260
    let hostDevice = HostDevice.perhapsUnnamed
    let isNamedByServer = false
    /// An array may number the LUNs of one target anew for each initiator.
    let isNumberedPerHost = true
    let canBeYanked = false

    func target(of connection: ConnectionInfo, _ context: DriverContext) throws(SwapFailure) -> VolumeTarget {
        if let path = connection.devicePath { return .path(path) }
        // A target that admits only the host's IQN refuses QEMU's.
        let prefersQEMU = connection.data["prefer_qemu_initiator"]?.boolValue ?? context.prefersQEMUInitiator
        if isMultipath(connection) || context.hasConnector && !prefersQEMU { return .connector }
        return .network(try network(connection, context.argument))
    }

    private func isMultipath(_ connection: ConnectionInfo) -> Bool {
        ["target_portals", "target_iqns", "target_luns"].contains { (connection.data[$0]?.arrayValue?.count ?? 0) > 1 }
            || connection.text("multipath_id") != nil
    }

    private func network(_ connection: ConnectionInfo, _ argument: String) throws(SwapFailure) -> NetworkLocation {
        func first(_ key: String) -> JSONValue? { connection.data[key]?.arrayValue?.first }
        guard let portal = connection.text("target_portal") ?? first("target_portals")?.stringValue else {
            throw .invalidInput("\(argument).data.target_portal: missing or not a string")
        }
        guard let iqn = connection.text("target_iqn") ?? first("target_iqns")?.stringValue, !iqn.isEmpty else {
            throw .invalidInput("\(argument).data.target_iqn: missing or not a string")
        }
        let number = connection.data["target_lun"].flatMap { $0.isNull ? nil : $0 } ?? first("target_luns")
        guard let lun = number.flatMap(ConnectionInfo.number), (0...16383).contains(lun) else {
            throw .invalidInput("\(argument).data.target_lun: missing or not a number from 0 to 16383")
        }
        // PORTAL may carry iSCSI's group tag (",1") and IPv6 brackets.
        let address = portal.split(separator: ",").first.map(String.init) ?? portal
        guard let colon = address.lastIndex(of: ":"), let port = Int(address[address.index(after: colon)...]),
            (1...65535).contains(port), !ConnectionInfo.bare(String(address[..<colon])).isEmpty
        else { throw .invalidInput("\(argument).data.target_portal: must be HOST:PORT") }
        return NetworkLocation(
            transport: networkProtocol, name: "\(iqn)/\(lun)",
            hosts: [.init(name: ConnectionInfo.bare(String(address[..<colon])), port: port)])
    }

    // MARK: Names

    /// The target and LUN of each path in connection_info; a single name if all lead to one target.
    func identity(of connection: ConnectionInfo) -> VolumeIdentity {
        let single = connection.data["target_lun"]
        var names: Set<VolumeIdentity.Name> = []
        if let iqn = connection.text("target_iqn"), let lun = single.flatMap(ConnectionInfo.number) {
            names.insert(name("\(iqn)/\(lun)"))
        }
        let luns = connection.data["target_luns"]?.arrayValue ?? []
        for (index, iqn) in (connection.data["target_iqns"]?.arrayValue ?? []).enumerated() {
            let lun = (index < luns.count ? luns[index] : luns.first ?? single).flatMap(ConnectionInfo.number)
            if let iqn = iqn.stringValue, let lun { names.insert(name("\(iqn)/\(lun)")) }
        }
        return VolumeIdentity(names)
    }

    /// With multipath, os-brick asks the portal for targets that connection_info need not list.
    func namesAllPaths(of connection: ConnectionInfo, isMultipath: Bool) -> Bool {
        !isMultipath && connection.text("multipath_id") == nil || connection.data["target_iqns"]?.arrayValue != nil
    }

    func names(of network: NetworkLocation) -> Set<VolumeIdentity.Name> { [name(network.name)] }

    func name(ofPath path: String) -> VolumeIdentity.Name? { Self.target(ofLink: path).map(name) }

    /// The name is IQN/LUN, since a target has many portals. IQNs are case-insensitive; one without a LUN means LUN 0.
    private func name(_ target: String) -> VolumeIdentity.Name {
        .init(.network(networkProtocol), (target.contains("/") ? target : "\(target)/0").lowercased())
    }

    /// The `IQN/LUN` in udev's name of a host-attached LUN, `ip-10.0.0.21:3260-iscsi-iqn.2010-10.org.openstack:volume-1-lun-1`;
    /// nil for other paths. A partition's link names its LUN.
    private static func target(ofLink path: String) -> String? {
        guard path.hasPrefix("/dev/disk/by-path/"), let name = path.split(separator: "/").last,
            let start = name.range(of: "-iscsi-"),
            let end = name.range(of: "-lun-", options: .backwards), start.upperBound < end.lowerBound
        else { return nil }
        let rest = name[end.upperBound...]
        let digits = rest.split(separator: "-", omittingEmptySubsequences: false)[0]
        guard let lun = digits.hasPrefix("0x") ? hexadecimalLUN(digits.dropFirst(2)) : UInt64(digits) else { return nil }
        return "\(name[start.upperBound..<end.lowerBound])/\(lun)"
    }

    /// Reads udev's form for flat addressing: 16 digits, of which the first four hold the number and two bits of its kind.
    private static func hexadecimalLUN(_ digits: Substring) -> UInt64? {
        guard let number = UInt64(digits, radix: 16) else { return nil }
        return digits.count == 16 ? number >> 48 & 0x3fff : number
    }

    // MARK: CHAP

    /// libvirt's secret for CHAP, one per LUN; it is kept while a VM uses it.
    func credentials(
        of connection: ConnectionInfo, _ network: NetworkLocation, _ hypervisor: any Hypervisor
    ) async throws -> VolumeCredentials {
        guard let user = connection.text("auth_username"), let password = connection.text("auth_password") else {
            return VolumeCredentials()
        }
        let usage = CHAPSecret.usage(network)
        let uuid = try await hypervisor.secret(usageType: .iscsi, usage: usage) ?? CHAPSecret.uuid(network)
        let xml = DomainXML.secret(uuid: uuid, usageType: .iscsi, usage: usage, description: CHAPSecret.mark)
        return VolumeCredentials(
            auth: .init(username: user, secret: SecretReference(type: "iscsi", uuid: uuid)),
            secret: VolumeSecret(uuid: uuid, xml: xml, value: Array(password.utf8), network: network))
    }

    func ownSecret(for network: NetworkLocation) -> String? { CHAPSecret.uuid(network) }
}

/// Names the libvirt secrets that pivotd makes itself after their target, so that they can be found without a journal.
enum CHAPSecret {
    static let mark = "CHAP secret made by pivotd"

    static func usage(_ network: NetworkLocation) -> String { "pivotd:\(network)" }

    /// A UUID derived from the target (version 8, custom).
    static func uuid(_ network: NetworkLocation) -> String {
        var hex = Array(FNV1a.hash128(usage(network)).padded(to: 32, radix: 16))
        hex[12] = "8"
        hex[16] = "a"
        let parts = [0..<8, 8..<12, 12..<16, 16..<20, 20..<32].map { String(hex[$0]) }
        return parts.joined(separator: "-")
    }
}
