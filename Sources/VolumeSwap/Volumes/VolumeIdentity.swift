import Foundation

/// The names by which one volume is known. Two places are the same volume when their names meet.
package struct VolumeIdentity: Sendable, Hashable {
    /// One name. Compared byte by byte: strings that Swift calls equal may be the names of two files.
    package struct Name: Sendable, Hashable {
        enum Kind: UInt8, Sendable {
            case path, file, device, rbd, iscsi, nbd, network, id
        }

        var kind: Kind
        var bytes: [UInt8]

        init(_ kind: Kind, _ text: some StringProtocol) {
            self.kind = kind
            bytes = Array(text.utf8)
        }
    }

    package private(set) var names: Set<Name>

    package init(_ names: Set<Name> = []) { self.names = names }

    package var isEmpty: Bool { names.isEmpty }

    package func meets(_ other: VolumeIdentity) -> Bool { !names.isDisjoint(with: other.names) }

    package func union(_ other: VolumeIdentity) -> VolumeIdentity { VolumeIdentity(names.union(other.names)) }
}

// MARK: By text alone

extension VolumeIdentity {
    /// A volume by its ids, as Cinder or a `<serial>` says them.
    package init(ids: some Sequence<String>) {
        self.init(Set(ids.filter { !$0.isEmpty }.map { Name(.id, $0.lowercased()) }))
    }

    /// The targets and LUNs of an iSCSI volume by its connection_info; empty for any other.
    package init(targetsOf connection: ConnectionInfo) {
        self.init(Set(connection.iscsiTargets.map { Self.iscsi($0) }))
    }

    /// What a place's text says, without a look at the host.
    package init(text location: VolumeLocation) {
        switch location {
        case .file(let path), .block(let path): self.init(Self.names(ofPath: path))
        case .network(let network): self.init(Self.names(of: network))
        case .other: self.init()
        }
    }

    private static func names(of network: NetworkLocation) -> Set<Name> {
        switch network.transport {
        case "rbd": [rbd(network.name)]
        case "iscsi": [iscsi(network.name)]
        case "nbd": Set(network.hosts.map { nbd(NetworkLocation.plainHost($0.name), port: $0.port, export: network.name) })
        default: [Name(.network, "\(network.transport)/\(network.name)")]
        }
    }

    /// The path, and the volume that udev's name of a device tells.
    static func names(ofPath path: String) -> Set<Name> {
        var names: Set = [Name(.path, path)]
        if path.hasPrefix("/dev/rbd/") { names.insert(rbd(String(path.dropFirst("/dev/rbd/".count)))) }
        if let target = ISCSILink.target(path) { names.insert(iscsi(target)) }
        return names
    }

    /// By pool and image: the monitors of one cluster are listed in many ways.
    static func rbd(_ image: String) -> Name { Name(.rbd, image) }

    /// By IQN/LUN: a target has many portals. IQNs do not distinguish case, and libvirt takes one without a LUN for LUN 0.
    static func iscsi(_ target: String) -> Name {
        Name(.iscsi, (target.contains("/") ? target : "\(target)/0").lowercased())
    }

    static func nbd(_ address: String, port: Int?, export: String) -> Name {
        Name(.nbd, "\(address) \(port ?? 10809) \(export)")
    }
}

// MARK: By the host's word

extension VolumeIdentity {
    /// Every name of what is at a path.
    package init(place: PathDescription) {
        var names = Set((place.names + place.links).flatMap { Self.names(ofPath: $0) })
        names.insert(Name(.path, place.canonicalPath))
        if let number = place.deviceNumber { names.insert(Name(.device, "\(number)")) }
        if let file = place.fileID { names.insert(Name(.file, "\(file.device) \(file.inode)")) }
        if let image = place.rbdImage { names.insert(Self.rbd(image)) }
        if let file = place.loopFile { names.insert(Name(.path, file)) }
        self.init(names)
    }
}

/// udev's name of a host-attached LUN: `ip-10.0.0.21:3260-iscsi-iqn.2010-10.org.openstack:volume-1-lun-1`.
enum ISCSILink {
    /// `IQN/LUN`, nil for a path that is no such link. That of a partition names the LUN that it is on.
    static func target(_ path: String) -> String? {
        guard let name = path.split(separator: "/").last, let start = name.range(of: "-iscsi-"),
            let end = name.range(of: "-lun-", options: .backwards), start.upperBound < end.lowerBound
        else { return nil }
        let rest = name[end.upperBound...]
        let digits = rest.split(separator: "-", omittingEmptySubsequences: false)[0]
        guard let lun = digits.hasPrefix("0x") ? hexadecimalLUN(digits.dropFirst(2)) : UInt64(digits) else { return nil }
        return "\(name[start.upperBound..<end.lowerBound])/\(lun)"
    }

    /// udev's form for flat addressing: 16 digits, of which the first four hold the number and two bits of its kind.
    private static func hexadecimalLUN(_ digits: Substring) -> UInt64? {
        guard let number = UInt64(digits, radix: 16) else { return nil }
        return digits.count == 16 ? number >> 48 & 0x3fff : number
    }
}
