import Basics
import JSON

/// Turns connection_info into a destination that libvirt understands, connecting the volume if needed.
struct VolumeResolver {
    let hypervisor: any Hypervisor
    let connector: any VolumeConnector
    let settings: VolumeSettings
    /// Records what has to be undone; nil to only look, which connects and creates nothing.
    let ledger: AttachmentLedger?

    private static let argument = "new_connection_info"

    struct Resolved {
        var source: VolumeSource
        /// The exact size in bytes that a guest can use; nil if only QEMU can tell.
        var bytes: Int64?
        /// Size in bytes of the LUKS header, if there is one and it could be read.
        var headerBytes: Int64?
        var isConnected: Bool
        /// What QEMU logs in with, which ``makeSecret(_:)`` makes.
        var secret: VolumeSecret?
        var isMultipath = false
    }

    private var context: DriverContext {
        DriverContext(
            mountPointBase: settings.mountPointBase, hasConnector: connector.isConfigured,
            prefersQEMUInitiator: settings.prefersQEMUInitiator, argument: Self.argument)
    }

    /// The place that connection_info names, without asking the host.
    func target(_ connection: ConnectionInfo) throws(SwapFailure) -> VolumeTarget {
        try connection.driver.target(of: connection, context)
    }

    /// The destination, with its volume connected.
    ///
    /// - Parameter ids: every id of the volume.
    /// - Throws: ``SwapFailure`` if the volume cannot be used; ``HypervisorError`` if libvirt does not answer.
    func destination(_ connection: ConnectionInfo, _ target: VolumeTarget, ids: [String]) async throws -> Resolved {
        let format = try connection.format(argument: Self.argument)
        switch target {
        case .path(let path):
            // A forbidden path is refused before anything else is checked.
            guard let place = try await place(at: path) else { return try await share(connection, path, format, ids) }
            let encryption = try await passphrase(connection, ids)
            return try await resolved(path, place, format, encryption, isConnected: false)
        case .network(let network):
            let encryption = try await passphrase(connection, ids)
            let login = try await network.driver?.credentials(of: connection, network, hypervisor)
            let source = VolumeSource(location: .network(network), format: format, auth: login?.auth, encryption: encryption)
            return Resolved(source: source, bytes: nil, isConnected: false, secret: login?.secret)
        case .connector:
            return try await attached(connection, format, ids)
        }
    }

    /// Makes the secret of a volume, unless this only looks.
    ///
    /// - Throws: ``HypervisorError`` if libvirt refuses it or does not answer.
    func makeSecret(_ secret: VolumeSecret) async throws(HypervisorError) {
        guard let ledger else { return }
        ledger.note(.network(secret.network))
        ledger.note(madeSecret: secret.uuid)
        try await hypervisor.makeSecret(xml: secret.xml, uuid: secret.uuid, value: secret.value)
    }

    private func attached(_ connection: ConnectionInfo, _ format: String, _ ids: [String]) async throws -> Resolved {
        let encryption = try await passphrase(connection, ids)
        guard let ledger else { return try unattached(connection, format, encryption, ids) }
        if connector.isConfigured { ledger.noteAttachment() }
        let path = try await connector.connect(connection)
        ledger.noteAttachment()
        guard let place = try await place(at: path, isFromConnector: true) else {
            throw SwapFailure.invalidVolume(
                "the new volume does not exist on this host at \(path), which the connector returned", .newVolumeMissing)
        }
        return try await resolved(path, place, format, encryption, isConnected: true)
    }

    /// The destination as far as a look shows it: only the connector knows its place and size.
    private func unattached(
        _ connection: ConnectionInfo, _ format: String, _ encryption: SecretReference?, _ ids: [String]
    ) throws(SwapFailure) -> Resolved {
        if let refusal = connector.refusal(of: connection) { throw refusal }
        let place = VolumeLocation.other("volume \(ids.first ?? "of type \(connection.driverVolumeType)")")
        return Resolved(
            source: VolumeSource(location: place, format: format, encryption: encryption), bytes: nil, isConnected: false)
    }

    /// A volume missing from its share: a connector, if configured, mounts the share.
    private func share(_ connection: ConnectionInfo, _ path: String, _ format: String, _ ids: [String]) async throws -> Resolved {
        guard let share = try connection.driver.share(of: connection, context), await !isMounted(share)
        else {
            throw SwapFailure.invalidVolume("the new volume \(path) does not exist on this host", .newVolumeMissing)
        }
        // It may be mounted, and not have been waited for.
        try Task.checkCancellation()
        if connector.isConfigured { return try await attached(connection, format, ids) }
        throw SwapFailure.invalidVolume(
            """
            the share \(share.export) is not mounted on this host: \(share.name) was expected in \(share.mountPoint). Mount it there, \
            set mount_point_base, or set connector_helper to mount it
            """, .newVolumeMissing)
    }

    private func isMounted(_ share: ShareLocation) async -> Bool {
        guard let slash = share.mountPoint.lastIndex(of: "/") else { return false }
        let above = String(share.mountPoint[..<slash])
        async let mount = hypervisor.look(at: share.mountPoint, of: .swap)
        async let parent = hypervisor.look(at: above.isEmpty ? "/" : above, of: .swap)
        guard let inside = await mount.place?.fileID, let outside = await parent.place?.fileID else { return false }
        return inside.device != outside.device
    }

    /// What is at a path that `allowed_paths` allows, without opening it; nil if nothing is there.
    ///
    /// - Parameter isFromConnector: Whether the connector returned the path, and not the caller gave it.
    private func place(at path: String, isFromConnector: Bool = false) async throws(SwapFailure) -> PathDescription? {
        let allowedPaths = settings.allowedPaths
        let answer = await hypervisor.look(at: path, of: .swap)
        // Whoever detaches it has to know whether somebody uses it, also if it is refused here.
        if isFromConnector, let place = answer.place, place.kind != .other { ledger?.note(Self.location(of: path, place)) }
        guard answer.place.map(allowedPaths.allows) ?? allowedPaths.allows(resolved: path) else {
            let (path, real) = (path.cut(to: 256), answer.place.flatMap { $0.canonicalPath == path ? nil : $0.canonicalPath })
            let named = path + (real.map { " (which is \($0.cut(to: 256)))" } ?? "")
            let what =
                isFromConnector
                ? "the connector returned the path \(named), which" : "\(Self.argument).data.device_path: \(named)"
            throw .invalidInput("\(what) is not among allowed_paths", .pathNotAllowed)
        }
        switch answer {
        case .found(let place): return place
        case .nothing: return nil
        case .failed(let reason): throw .invalidVolume("the new volume \(path) cannot be examined: \(reason)", .ioError)
        case .noAnswer: throw .invalidVolume("the new volume \(path) does not answer", .ioError)
        }
    }

    private static func location(of path: String, _ place: PathDescription) -> VolumeLocation {
        place.kind == .block ? .block(path) : .file(path)
    }

    private func resolved(
        _ path: String, _ place: PathDescription, _ format: String, _ encryption: SecretReference?, isConnected: Bool
    ) async throws -> Resolved {
        guard place.kind != .other else {
            throw SwapFailure.invalidVolume("the new volume \(path) is neither a file nor a block device", .newVolumeMissing)
        }
        let location = Self.location(of: path, place)
        ledger?.note(location)
        let source = VolumeSource(location: location, format: format, encryption: encryption)
        var resolved = Resolved(
            source: source, bytes: nil, isConnected: isConnected, isMultipath: place.isMultipath)
        guard format == "raw" else {
            resolved.bytes = try await hypervisor.imageBytes(path: path)
            return resolved
        }
        if encryption != nil {
            guard let header = try await hypervisor.luksPayloadOffset(path: path) else { return resolved }
            resolved.headerBytes = header
        }
        guard let opened = try await hypervisor.inspect(path: path) else {
            throw SwapFailure.invalidVolume("the new volume \(path) does not exist on this host", .newVolumeMissing)
        }
        resolved.bytes = Self.guestBytes(opened) - (resolved.headerBytes ?? 0)
        return resolved
    }

    /// The size that QEMU shows of what is at a path: it counts the last, incomplete sector of a file.
    private static func guestBytes(_ place: PathDescription) -> Int64 {
        let (rounded, isTooLarge) = place.bytes.addingReportingOverflow(511)
        return place.kind == .file && !isTooLarge ? rounded / 512 * 512 : place.bytes
    }

    /// The libvirt secret of usage type `volume` whose usage is the volume's id, as nova names it.
    private func passphrase(_ connection: ConnectionInfo, _ ids: [String]) async throws -> SecretReference? {
        guard connection.isEncrypted else {
            try await checkOmission(connection, ids)
            return nil
        }
        for usage in ids {
            if let uuid = try await hypervisor.secret(usageType: .volume, usage: usage) {
                return SecretReference(type: "passphrase", uuid: uuid)
            }
        }
        throw SwapFailure.invalidVolume(
            "the new volume is encrypted, but libvirt has no secret of usage type volume for it (looked for \(ids.joined(separator: ", ")))",
            .secretMissing)
    }

    /// Refuses to write plain data by omission: nova always looks for a passphrase, so one means an encrypted volume.
    private func checkOmission(_ connection: ConnectionInfo, _ ids: [String]) async throws {
        guard !connection.saysEncrypted else { return }
        for id in ids where try await hypervisor.hasPassphrase(volumeID: id) {
            throw SwapFailure.invalidVolume(
                """
                libvirt has a passphrase for the new volume \(id), but new_connection_info.data.encrypted is absent: set it to true, or to false \
                to write plain data
                """)
        }
    }
}
