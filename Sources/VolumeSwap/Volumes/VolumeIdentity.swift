import Foundation

/// The names of one volume. Two places are the same volume if they have a name in common.
package struct VolumeIdentity: Sendable, Hashable {
    /// One name, compared byte by byte: strings that Swift considers equal may name two files.
    package struct Name: Sendable, Hashable {
        enum Kind: Sendable, Hashable {
            case path, file, device, wwid, id
            /// A name within one of libvirt's network protocols.
            case network(String)
        }

        var kind: Kind
        var bytes: [UInt8]

        init(_ kind: Kind, _ text: some StringProtocol) {
            self.kind = kind
            bytes = Array(text.utf8)
        }

        /// In one piece: an array hashes each element for itself.
        package func hash(into hasher: inout Hasher) {
            unsafe bytes.withUnsafeBytes { unsafe hasher.combine(bytes: $0) }
        }
    }

    /// All known names.
    package private(set) var names: Set<Name>

    package init(_ names: Set<Name> = []) { self.names = names }

    package var isEmpty: Bool { names.isEmpty }

    /// Whether a name is common to both.
    package func meets(_ other: VolumeIdentity) -> Bool { !names.isDisjoint(with: other.names) }

    /// Whether both have a name of the same kind but none in common, so that they are certainly different volumes.
    func contradicts(_ other: VolumeIdentity) -> Bool {
        let kinds = Set(other.names.map(\.kind))
        return names.contains { kinds.contains($0.kind) } && !meets(other)
    }

    /// Its names within libvirt's network protocols, for an error: `iqn…/1`.
    var networkNames: [String] {
        names.compactMap { name in
            guard case .network = name.kind else { return nil }
            return String(decoding: name.bytes, as: UTF8.self)
        }.sorted()
    }

    /// The names of both.
    package func union(_ other: VolumeIdentity) -> VolumeIdentity { VolumeIdentity(names.union(other.names)) }
}

// MARK: From strings alone

extension VolumeIdentity {
    /// A volume by its ids, as given by Cinder or a `<serial>`.
    package init(ids: some Sequence<String>) {
        self.init(Set(ids.filter { !$0.isEmpty }.map { Name(.id, $0.lowercased()) }))
    }

    /// The names that a place's own string implies, without asking the host.
    package init(text location: VolumeLocation) {
        switch location {
        case .file(let path), .block(let path): self.init(Self.names(ofPath: path))
        case .network(let network): self.init(Self.names(of: network))
        case .other: self.init()
        }
    }

    private static func names(of network: NetworkLocation) -> Set<Name> {
        network.driver?.names(of: network) ?? [Name(.network(network.transport), network.name)]
    }

    /// The path, and the volume that udev's name of a device shows.
    private static func names(ofPath path: String) -> Set<Name> {
        var names: Set = [Name(.path, path)]
        for driver in VolumeDrivers.network {
            if let name = driver.name(ofPath: path) { names.insert(name) }
        }
        return names
    }
}

// MARK: From the host

extension VolumeIdentity {
    /// Every name of what is at a path.
    package init(place: PathDescription) {
        var names = Set((place.names + place.links).flatMap { Self.names(ofPath: $0) })
        names.insert(Name(.path, place.canonicalPath))
        if let number = place.deviceNumber { names.insert(Name(.device, "\(number)")) }
        names.formUnion(place.wwids.map { Name(.wwid, $0) })
        if let file = place.fileID { names.insert(Name(.file, "\(file.device) \(file.inode)")) }
        names.formUnion(VolumeDrivers.network.compactMap { $0.name(ofDevice: place) })
        if let file = place.loopFile { names.insert(Name(.path, file)) }
        self.init(names)
    }
}

// MARK: Among many hosts

extension VolumeIdentity {
    /// The names of a volume by its id and its connection_info, to be compared with those of other hosts' volumes: what may be
    /// another volume on another host is named together with the host.
    package init(_ connection: ConnectionInfo, id: String?, host: String) {
        // nova's default; a worker may have another one, but each has one for all its shares.
        let context = DriverContext(mountPointBase: "/var/lib/nova/mnt", argument: "connection_info")
        let driver = connection.driver
        let location = (try? driver.target(of: connection, context))?.location
        let isOnShare = driver.isOnShare || (try? driver.share(of: connection, context)) != nil
        let named = connection.identity.union(location.map { VolumeIdentity(text: $0) } ?? VolumeIdentity())
        let names = named.names.map { name in
            let isLocal =
                switch name.kind {
                case .path: !isOnShare
                // Without an id a LUN is all that tells volumes apart.
                case .network(let transport):
                    id != nil && VolumeDrivers.serving(networkProtocol: transport)?.isNumberedPerHost ?? false
                default: false
                }
            return isLocal || location?.isServedLocally ?? false ? name.on(host) : name
        }
        self = VolumeIdentity(Set(names)).union(VolumeIdentity(ids: [id].compactMap(\.self)))
    }
}

extension VolumeIdentity.Name {
    fileprivate func on(_ host: String) -> Self { Self(kind, "\(host) \(String(decoding: bytes, as: UTF8.self))") }
}

extension VolumeLocation {
    /// Whether its server is reached by a socket or a loopback address, and so is another one on each host.
    fileprivate var isServedLocally: Bool {
        guard case .network(let network) = self, network.driver?.isNamedByServer ?? false else { return false }
        return network.hosts.contains { $0.name.hasPrefix("/") || NetworkLocation.plainHost($0.name) == NetworkLocation.loopback }
    }
}
