import JSON

@testable import VolumeSwap

/// A volume: one place for bytes, with several names.
final class SimVolume: @unchecked Sendable {
    enum Kind: CaseIterable {
        case file, block, nbd, rbd, iscsi
        /// Only the connector helper can attach it.
        case attached
    }

    struct Name {
        var location: VolumeLocation
        var connection: JSONObject
    }

    let number: Int
    let kind: Kind
    var bytes: Int64
    /// The names that requests and configurations may use; the first is the usual one.
    let names: [Name]
    /// What each sector holds: the number of the guest's last write.
    var sectors = [UInt32](repeating: 0, count: 8)
    /// Whether its server does not answer: a stopped nbdkit, a hanging NFS.
    var isHung = false
    /// Why writes to it fail, if they do.
    var trouble: String?
    /// Whether it is attached to the host.
    var isConnected = true
    /// Whether pivotd attached it.
    var wasConnectedByPivotd = false

    var id: String { "volume-\(number)" }
    /// QEMU locks files and block devices against a second QEMU; nothing locks network volumes (observed: LAB.md).
    var isLocked: Bool { kind == .file || kind == .block || kind == .attached }

    init(number: Int, kind: Kind, bytes: Int64, isConnected: Bool = true) {
        self.number = number
        self.kind = kind
        self.bytes = bytes
        self.isConnected = isConnected
        names = Self.names(kind, number)
    }

    private static func names(_ kind: Kind, _ number: Int) -> [Name] {
        switch kind {
        case .file:
            ["/volumes/v\(number)", "/volumes/by-id/v\(number)", "/volumes/hard/v\(number)"].map { path in
                Name(location: .file(path), connection: connection("local", number, ["device_path": .string(path)]))
            }
        case .block:
            ["/dev/vg/v\(number)", "/dev/dm-\(number)"].map { path in
                Name(location: .block(path), connection: connection("lvm", number, ["device_path": .string(path)]))
            }
        case .attached:
            [
                Name(
                    location: .block("/dev/mapper/v\(number)"),
                    connection: connection("fibre_channel", number, ["target_wwn": .string("v\(number)")]))
            ]
        case .nbd:
            ["127.0.0.1", "localhost", "127.1"].map { host in
                network(
                    "nbd", number, "v\(number)", host, 10809,
                    ["host": .string(host), "port": 10809, "export": .string("v\(number)")])
            }
        case .rbd:
            ["10.0.0.1", "10.0.0.2"].map { host in
                network(
                    "rbd", number, "pool/v\(number)", host, 6789,
                    ["name": .string("pool/v\(number)"), "hosts": [.string(host)], "ports": ["6789"]])
            }
        case .iscsi:
            ["10.0.1.1", "10.0.1.2"].map { host in
                network(
                    "iscsi", number, "iqn.2010-10.org:v\(number)/1", host, 3260,
                    [
                        "target_portal": .string("\(host):3260"), "target_iqn": .string("iqn.2010-10.org:v\(number)"),
                        "target_lun": 1, "prefer_qemu_initiator": true, "auth_username": "chap",
                        "auth_password": .string("secret-\(number)"),
                    ])
            }
        }
    }

    private static func network(
        _ transport: String, _ number: Int, _ name: String, _ host: String, _ port: Int, _ data: JSONObject
    ) -> Name {
        let location = NetworkLocation(transport: transport, name: name, hosts: [.init(name: host, port: port)])
        return Name(location: .network(location), connection: connection(transport, number, data))
    }

    private static func connection(_ type: String, _ number: Int, _ data: JSONObject) -> JSONObject {
        ["driver_volume_type": .string(type), "data": .object(data), "serial": .string("volume-\(number)")]
    }

    /// What the host knows about the paths that lead to it.
    var paths: [(path: String, PathDescription)] {
        names.compactMap { name in
            guard let path = name.location.path else { return nil }
            return (path, description(of: path))
        }
    }

    private func description(of path: String) -> PathDescription {
        switch kind {
        case .file:
            // A symlink leads to the usual path; a hard link is a path of its own, and only the inode identifies it.
            PathDescription(
                kind: .file, bytes: bytes, canonicalPath: path.contains("by-id") ? "/volumes/v\(number)" : path, names: [path],
                deviceNumber: nil, fileID: PathDescription.FileID(device: 1, inode: UInt64(number)))
        default:
            PathDescription(
                kind: .block, bytes: bytes, canonicalPath: "/dev/dm-\(number)", names: [path, "/dev/dm-\(number)"],
                deviceNumber: UInt64(number))
        }
    }
}
