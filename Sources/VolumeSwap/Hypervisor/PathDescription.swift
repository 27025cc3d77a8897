/// What the host says of a path.
package struct PathDescription: Sendable, Hashable {
    package enum Kind: String, Sendable, Hashable {
        case file, block, other
    }

    /// `st_dev` and `st_ino`: one for every name of a file, over hard links and bind mounts.
    package struct FileID: Sendable, Hashable {
        package var device: UInt64
        package var inode: UInt64

        package init(device: UInt64, inode: UInt64) {
            self.device = device
            self.inode = inode
        }
    }

    package var kind: Kind
    /// 0 of a block device that was not opened.
    package var bytes: Int64
    /// The path with every symlink resolved.
    package var canonicalPath: String
    /// Each name on the way from the path to `canonicalPath`, directories resolved: `/dev/vg/lv`, `/dev/dm-3`.
    package var names: [String]
    /// `st_rdev` of a block device.
    package var deviceNumber: UInt64?
    package var fileID: FileID?
    /// udev's links in `/dev/disk/by-path` to a block device, and to each path of a multipath device.
    package var links: [String] = []
    /// `POOL/IMAGE` or `POOL/NAMESPACE/IMAGE` of a mapped rbd device.
    package var rbdImage: String?
    /// The file behind a loop device.
    package var loopFile: String?

    package init(
        kind: Kind, bytes: Int64, canonicalPath: String, names: [String], deviceNumber: UInt64?, fileID: FileID? = nil
    ) {
        self.kind = kind
        self.bytes = bytes
        self.canonicalPath = canonicalPath
        self.names = names
        self.deviceNumber = deviceNumber
        self.fileID = fileID
    }
}

/// Whose a path is: how long it may take to answer follows from it, since a dead mount never does.
package enum PathOwner: Sendable, Hashable {
    /// The swap's own new or old volume.
    case swap
    /// Another guest's: it holds nobody up.
    case another

    package var patience: Duration { self == .swap ? .seconds(10) : .seconds(2) }
}

/// What came of looking at a path.
package enum PathAnswer: Sendable, Hashable {
    case found(PathDescription)
    case nothing
    /// It is there, or may be, but cannot be looked at; why, for an operator.
    case failed(String)
    /// It has not answered in time, or hangs since an earlier look.
    case noAnswer

    package var place: PathDescription? {
        guard case .found(let place) = self else { return nil }
        return place
    }
}

/// For hypervisors whose paths never hang.
extension Hypervisor {
    package func look(at path: String, of owner: PathOwner) async -> PathAnswer {
        do {
            return try await inspect(path: path).map { .found($0) } ?? .nothing
        } catch {
            return .failed(error.message)
        }
    }

    package func addresses(ofHost name: String) async -> [String] { [] }
    package func isHeldByHost(path: String) async throws(HypervisorError) -> Bool { false }
    package func luksUUID(path: String) async throws(HypervisorError) -> String? { nil }

    package func hasPassphrase(volumeID: String) async throws(HypervisorError) -> Bool {
        try await secret(usageType: "volume", usage: volumeID) != nil
    }
}
