import JSON
import OrderedCollections

/// Answers whether two names mean the same volume.
struct LocationComparison {
    let hypervisor: any Hypervisor

    /// The same path after symlinks, the same block device, or the same network disk.
    func isSame(_ one: VolumeLocation, _ other: VolumeLocation) async throws(HypervisorError) -> Bool {
        if case .network(let first) = one, case .network(let second) = other { return first.isSame(as: second) }
        guard let firstPath = one.path, let secondPath = other.path else { return false }
        if firstPath.hasSameBytes(as: secondPath) { return true }
        guard let first = try await hypervisor.inspect(path: firstPath),
            let second = try await hypervisor.inspect(path: secondPath)
        else {
            return false
        }
        if first.canonicalPath.hasSameBytes(as: second.canonicalPath) { return true }
        return first.deviceNumber != nil && first.deviceNumber == second.deviceNumber
    }

    /// Whether connection_info describes the disk's present source.
    func describes(_ connection: ConnectionInfo, _ disk: DiskDescription, mountPointBase: String) async throws -> Bool {
        guard let current = disk.location else { return false }
        switch try connection.target(mountPointBase: mountPointBase, argument: "old_connection_info") {
        case .network(let network):
            return try await isSame(.network(network), current)
        case .path(let path):
            if try await isSame(.block(path), current) { return true }
            return try await isInitiatorDisk(connection, current)
        case .connector:
            // Without a path only the serial, which Cinder sets to the volume's id, tells which volume a disk is.
            return disk.serial != nil && disk.serial == connection.volumeID
        }
    }

    /// An iSCSI volume that was once attached to the host, but that QEMU's own initiator uses now.
    private func isInitiatorDisk(_ connection: ConnectionInfo, _ current: VolumeLocation) async throws(HypervisorError) -> Bool {
        guard case .network(let network) = current, network.transport == "iscsi", let iqn = connection.text("target_iqn"),
            let lun = connection.data["target_lun"].flatMap(ConnectionInfo.number)
        else { return false }
        return network.name == "\(iqn)/\(lun)"
    }

    /// What connection_info names, for an error: never more than a place.
    func outline(_ connection: ConnectionInfo, mountPointBase: String) -> String {
        switch try? connection.target(mountPointBase: mountPointBase, argument: "old_connection_info") {
        case .path(let path): path
        case .network(let network): network.description
        case .connector, nil: "\(connection.driverVolumeType) volume \(connection.volumeID ?? "?")"
        }
    }
}
