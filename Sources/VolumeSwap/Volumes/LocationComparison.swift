import JSON

/// Decides whether two names mean the same volume.
struct LocationComparison: Sendable {
    let hypervisor: any Hypervisor

    private var identifier: VolumeIdentifier { VolumeIdentifier(hypervisor: hypervisor) }

    /// Whether two places are one volume, under any of its names. Equal names need no look at the host.
    ///
    /// A place that cannot be examined counts as different: libvirt shows a destination exactly as it was given.
    ///
    /// - Throws: ``HypervisorError`` `busy` if the task is cancelled, and so did not wait for what may show that they are.
    func isSame(_ one: VolumeLocation, _ other: VolumeLocation) async throws(HypervisorError) -> Bool {
        if VolumeIdentity(text: one).meets(VolumeIdentity(text: other)) { return true }
        guard one.canBe(other) else { return false }
        let isShown: Bool = await withTaskGroup(of: VolumeIdentity.self) { group in
            group.addImmediateTask { await identifier.identity(of: one).identity }
            let second = await identifier.identity(of: other).identity
            return await group.next()?.meets(second) ?? false
        }
        return try waitedFor(isShown)
    }

    /// What the answers of places have shown, which they cannot have denied to a task that was cancelled.
    private func waitedFor(_ isShown: Bool) throws(HypervisorError) -> Bool {
        if !isShown, Task.isCancelled { throw HypervisorError(.busy, "the look at a volume was given up") }
        return isShown
    }

    // MARK: The old volume, strictly

    /// Whether connection_info describes the disk's current source.
    ///
    /// If the disk's serial is the volume's id, the disk may be reached by other monitors, ports, portals or an unnamed device;
    /// it may not be a different image, LUN, export or path.
    func describes(
        _ connection: ConnectionInfo, volumeID: String? = nil, _ disk: DiskDescription, mountPointBase: String
    ) async throws -> Bool {
        guard let current = disk.location else { return false }
        let ids = [volumeID, connection.json["serial"]?.stringValue, connection.text("volume_id")].compactMap { $0 }
        let hasItsSerial = disk.serial.map { serial in ids.contains { $0.lowercased() == serial.lowercased() } } ?? false
        switch try connection.target(mountPointBase: mountPointBase, argument: "old_connection_info") {
        case .path(let path):
            if try await isSame(.block(path), current) { return true }
            // QEMU's own initiator may now use a LUN that was attached to the host before.
            guard case .network = current else { return false }
            return try await reaches(connection.identity, current)
        case .network(let network):
            if try await isReached(network, current) { return true }
            guard hasItsSerial else { return false }
            return try await !contradicts(connection, network, current)
        case .connector:
            let identity = connection.identity
            if try await reaches(identity, current) { return true }
            // Without a path, only the serial, which Cinder sets to the volume's id, identifies a disk.
            guard hasItsSerial else { return false }
            guard case .network(let network) = current else { return try await !isAnother(current, than: identity) }
            return network.driver == nil
        }
    }

    /// Whether the disk has the same name on a common server.
    private func isReached(_ network: NetworkLocation, _ current: VolumeLocation) async throws(HypervisorError) -> Bool {
        guard case .network(let shown) = current else {
            // Only the host names what is attached to it.
            return network.canBeHostDevice ? try await isSame(.network(network), current) : false
        }
        if network.isSame(as: shown) { return true }
        return network.driver?.isNamedByServer ?? false ? try await isSame(.network(network), current) : false
    }

    /// Whether the place is a different image, LUN, export or kind than connection_info says.
    private func contradicts(
        _ connection: ConnectionInfo, _ network: NetworkLocation, _ current: VolumeLocation
    ) async throws(HypervisorError) -> Bool {
        let identity = VolumeIdentity(text: .network(network))
        switch current {
        case .network(let shown):
            guard let driver = network.driver, network.transport == shown.transport else { return true }
            guard driver.isNamedByServer else { return !identity.meets(VolumeIdentity(text: .network(shown))) }
            let ports = [network, shown].map { $0.hosts.first?.port ?? driver.defaultPort }
            return !network.hasSameName(as: shown) || ports[0] != ports[1]
        case .block:
            // Since attached to the host, by os-brick.
            guard network.driver?.hostDevice == .perhapsUnnamed else { return true }
            return try await isAnother(current, than: identity)
        case .file, .other: return true
        }
    }

    /// Whether a place has one of these names.
    func reaches(_ wanted: VolumeIdentity, _ current: VolumeLocation) async throws(HypervisorError) -> Bool {
        guard !wanted.isEmpty else { return false }
        return try waitedFor(await wanted.meets(identifier.identity(of: current).identity))
    }

    /// Whether the host identifies a device as a volume of the same kind but a different one.
    private func isAnother(_ current: VolumeLocation, than wanted: VolumeIdentity) async throws(HypervisorError) -> Bool {
        guard !wanted.isEmpty else { return false }
        return try waitedFor(await identifier.identity(of: current).identity.contradicts(wanted))
    }

    /// What connection_info names, for an error; never more than a place.
    func outline(_ connection: ConnectionInfo, mountPointBase: String) -> String {
        let target = try? connection.target(mountPointBase: mountPointBase, argument: "old_connection_info")
        return target?.location?.description ?? "\(connection.driverVolumeType) volume \(connection.volumeID ?? "?")"
    }

    // MARK: The new volume, with all that a guest depends on

    /// Whether a disk is on the destination, in its format and encryption.
    func match(_ disk: DiskDescription, _ destination: VolumeSource) async throws(HypervisorError) -> SourceMatch {
        guard let location = disk.location else { return .elsewhere }
        let shown = ShownSource(location: location, format: disk.format, isEncrypted: disk.isEncrypted, secret: disk.passphrase)
        return try await match(shown, destination)
    }

    /// Whether a running copy goes to the destination, in its format and encryption.
    func match(_ mirror: DiskFacts.Mirror, _ destination: VolumeSource) async throws(HypervisorError) -> SourceMatch {
        let shown = ShownSource(
            location: mirror.location, format: mirror.format, isEncrypted: mirror.isEncrypted, secret: mirror.passphrase)
        return try await match(shown, destination)
    }

    private struct ShownSource {
        var location: VolumeLocation
        var format: String?
        var isEncrypted: Bool
        var secret: SecretReference?
    }

    private func match(_ shown: ShownSource, _ destination: VolumeSource) async throws(HypervisorError) -> SourceMatch {
        guard try await isSame(shown.location, destination.location) else { return .elsewhere }
        if shown.format != destination.format {
            return .differs("its format is \(shown.format ?? "not named"), not \(destination.format)")
        }
        switch (shown.isEncrypted, destination.encryption) {
        case (false, nil): return .same
        case (true, nil): return .differs("it is encrypted, which the new volume is not")
        case (false, _?): return .differs("it is not encrypted, which the new volume is")
        case (true, let wanted?):
            // A secret may be referenced by usage; then there is nothing to compare.
            guard let one = shown.secret?.uuid, let other = wanted.uuid, one != other else { return .same }
            return .differs("its passphrase is the secret \(one), not \(other)")
        }
    }
}

/// The result of comparing a source that libvirt shows with a destination.
enum SourceMatch: Sendable, Hashable {
    case same
    /// The place is the destination's, but a guest would read it differently; the difference, for an operator.
    case differs(String)
    case elsewhere
}

extension NetworkLocation {
    /// Whether protocol and name agree and the host lists, as written, overlap; an empty list matches any.
    ///
    /// Strict, for a volume that must be the one described; ``VolumeIdentity`` is generous.
    package func isSame(as other: NetworkLocation) -> Bool {
        guard hasSameName(as: other) else { return false }
        guard !hosts.isEmpty, !other.hosts.isEmpty else { return true }
        let others = other.hosts.map(normalized)
        return hosts.contains { others.contains(normalized($0)) }
    }

    func hasSameName(as other: NetworkLocation) -> Bool {
        transport == other.transport && name.hasSameBytes(as: other.name)
    }

    private func normalized(_ host: Host) -> Host {
        Host(name: Self.plainHost(host.name), port: host.port ?? driver?.defaultPort)
    }
}
