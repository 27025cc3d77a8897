/// What the host knows about a path.
package struct PathDescription: Sendable, Hashable {
    /// The kind of file, symlinks followed; `other` covers directories, character devices and the rest.
    package enum Kind: String, Sendable, Hashable {
        case file, block, other
    }

    /// `st_dev` and `st_ino`, which identify a file across hard links and bind mounts.
    package struct FileID: Sendable, Hashable {
        package var device: UInt64
        package var inode: UInt64

        package init(device: UInt64, inode: UInt64) {
            self.device = device
            self.inode = inode
        }
    }

    package var kind: Kind
    /// The size in bytes; 0 for a block device that was not opened.
    package var bytes: Int64
    /// The path with every symlink resolved.
    package var canonicalPath: String
    /// Every name on the way from the path to `canonicalPath`, with directories resolved: `/dev/vg/lv`, `/dev/dm-3`.
    package var names: [String]
    /// `st_rdev` of a block device.
    package var deviceNumber: UInt64?
    /// The file's identity; nil for a block device.
    package var fileID: FileID?
    /// udev's links in `/dev/disk/by-path` to a block device and to each path of a multipath device.
    package var links: [String] = []
    /// Whether it is a multipath device.
    package var isMultipath = false
    /// The world wide identifiers of a LUN or an NVMe namespace, the same by whichever path: `naa.6001405…`; only such as are unique.
    package var wwids: [String] = []
    /// The `POOL/IMAGE` or `POOL/NAMESPACE/IMAGE` of a mapped RBD device.
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

/// Whose volume a path is. It decides how long the path may take to answer, since a dead mount never does.
package enum PathOwner: Sendable, Hashable {
    /// The swap's own new or old volume.
    case swap
    /// Another guest's volume, which must not hold up the swap.
    case another

    /// How long to wait for an answer.
    package var patience: Duration { self == .swap ? .seconds(10) : .seconds(2) }
}

/// The result of looking at a path.
package enum PathAnswer: Sendable, Hashable {
    /// The path exists.
    case found(PathDescription)
    /// Nothing is there.
    case nothing
    /// The path cannot be examined; the reason is for an operator.
    case failed(String)
    /// No answer within the owner's patience, or an earlier look still hangs.
    case noAnswer

    /// The description, if the path was found.
    package var place: PathDescription? {
        guard case .found(let place) = self else { return nil }
        return place
    }
}

/// Defaults for hypervisors whose paths never hang.
extension Hypervisor {
    package func look(at path: String, of owner: PathOwner) async -> PathAnswer {
        do {
            return try await inspect(path: path).map { .found($0) } ?? .nothing
        } catch {
            return .failed(error.message)
        }
    }

    package func imageBytes(path: String) async throws(HypervisorError) -> Int64? { nil }
    package func addresses(ofHost name: String) async -> [String] { [name] }
    package func isHeldByHost(path: String) async throws(HypervisorError) -> Bool { false }
    package func hostUse(path: String) async throws(HypervisorError) -> HostUse? {
        try await isHeldByHost(path: path) ? HostUse() : nil
    }
    package func filesInUse() async throws(HypervisorError) -> [HostFile] { [] }
    package func hostDevices(of networkProtocol: String) async throws(HypervisorError) -> [String] { [] }
    package func scsiDisk(at address: SCSIAddress) async throws(HypervisorError) -> String? { nil }
    package func backingFile(of path: String) async -> BackingAnswer { .nothing }
    package func luksUUID(path: String) async throws(HypervisorError) -> String? { nil }

    package func hasPassphrase(volumeID: String) async throws(HypervisorError) -> Bool {
        try await secret(usageType: .volume, usage: volumeID) != nil
    }
}
