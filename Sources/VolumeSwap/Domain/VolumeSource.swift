/// Where a volume's bytes are, like libvirt's `<source>`.
package enum VolumeLocation: Sendable, Hashable, Codable, CustomStringConvertible {
    /// `<disk type='file'><source file=…/>`
    case file(String)
    /// `<disk type='block'><source dev=…/>`
    case block(String)
    /// `<disk type='network'><source protocol=… name=…><host …/>`
    case network(NetworkLocation)
    /// A source type that pivotd does not swap to, such as `volume` or `dir`, described by the string.
    case other(String)

    /// The host path, if there is one.
    package var path: String? {
        switch self {
        case .file(let path), .block(let path): path
        case .network, .other: nil
        }
    }

    /// Whether it is not of a kind that can be compared.
    package var isOther: Bool {
        guard case .other = self else { return false }
        return true
    }

    package var description: String {
        switch self {
        case .file(let path), .block(let path): path
        case .network(let network): network.description
        case .other(let text): text
        }
    }
}

/// A volume that QEMU reaches over the network by itself.
package struct NetworkLocation: Sendable, Hashable, Codable, CustomStringConvertible {
    /// A server or monitor.
    package struct Host: Sendable, Hashable, Codable {
        /// A name or an address, without brackets.
        package var name: String
        /// nil for the protocol's default.
        package var port: Int?
    }

    /// libvirt's `protocol`: `rbd`, `iscsi`, `nbd`.
    package var transport: String
    /// `pool/image`, `iqn/lun` or the NBD export.
    package var name: String
    /// Servers or monitors, any of which leads to the volume.
    package var hosts: [Host]

    package var description: String {
        let place = hosts.map { host in
            let name = host.name.contains(":") ? "[\(host.name)]" : host.name
            return host.port.map { "\(name):\($0)" } ?? name
        }
        return "\(transport)://\(place.joined(separator: ","))/\(name)"
    }

    /// One spelling for those names of this host that need no resolving.
    static func plainHost(_ name: String) -> String {
        let name = name.lowercased()
        return ["localhost", "127.0.0.1", "::1", "127.1", "0.0.0.0", "::"].contains(name) ? loopback : name
    }

    /// Stands for every address of this host.
    package static let loopback = "loopback"
}

/// What a libvirt secret that pivotd looks up or makes is for: libvirt's usage type.
package enum SecretUsage: String, Sendable {
    /// The passphrase of an encrypted volume, by the volume's id.
    case volume
    /// The CHAP password of an iSCSI target.
    case iscsi

    /// The element of `<usage>` that holds the usage itself.
    var element: String {
        switch self {
        case .volume: "volume"
        case .iscsi: "target"
        }
    }
}

/// A reference to a libvirt secret; never its value.
package struct SecretReference: Sendable, Hashable, Codable {
    /// libvirt's secret type in the source element: `ceph`, `iscsi` or `passphrase`.
    package var type: String
    package var uuid: String?
    package var usage: String?
}

/// A swap's destination, ready to become `<disk>` XML.
package struct VolumeSource: Sendable, Hashable, Codable {
    /// The login of a network volume.
    package struct Auth: Sendable, Hashable, Codable {
        package var username: String
        package var secret: SecretReference
    }

    package var location: VolumeLocation
    /// `raw` or `qcow2`; always stated, never probed.
    package var format: String
    /// The login, for a network volume that needs one.
    package var auth: Auth?
    /// The secret with the LUKS passphrase, for an encrypted volume.
    package var encryption: SecretReference?

    package init(location: VolumeLocation, format: String, auth: Auth? = nil, encryption: SecretReference? = nil) {
        self.location = location
        self.format = format
        self.auth = auth
        self.encryption = encryption
    }
}
