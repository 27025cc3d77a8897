import JSON

/// Turns connection_info into a destination that libvirt understands, connecting the volume where that is needed.
struct VolumeResolver {
    let hypervisor: any Hypervisor
    let connector: any VolumeConnector
    let settings: VolumeSettings
    /// Hears of what has to be undone.
    let ledger: AttachmentLedger

    private static let argument = "new_connection_info"

    struct Resolved {
        var source: VolumeSource
        /// The exact size that a guest can use, bytes; nil where only QEMU can tell.
        var bytes: Int64?
        /// Of a LUKS volume whose header could be read.
        var headerBytes: Int64?
        var isConnected: Bool
        var madeSecret: String?
    }

    /// What the text alone says.
    func target(_ connection: ConnectionInfo) throws(SwapFailure) -> VolumeTarget {
        return try connection.target(
            mountPointBase: settings.mountPointBase,
            attachesISCSI: connection.attachesISCSI(
                hasConnector: connector.isConfigured, prefersQEMU: settings.prefersQEMUInitiator),
            argument: Self.argument)
    }

    /// - Parameter ids: every id of the volume.
    func destination(_ connection: ConnectionInfo, _ target: VolumeTarget, ids: [String]) async throws -> Resolved {
        let format = try connection.format(argument: Self.argument)
        switch target {
        case .path(let path):
            // Where it may not be is said before anything else is looked at.
            guard let place = try await place(at: path) else { return try await share(connection, path, format, ids) }
            let encryption = try await passphrase(connection, ids)
            return try await resolved(path, place, format, encryption, isConnected: false)
        case .network(let network):
            let encryption = try await passphrase(connection, ids)
            let (auth, madeSecret) = try await authentication(connection, network)
            let source = VolumeSource(location: .network(network), format: format, auth: auth, encryption: encryption)
            return Resolved(source: source, bytes: nil, isConnected: false, madeSecret: madeSecret)
        case .connector:
            return try await attached(connection, format, ids)
        }
    }

    private func attached(_ connection: ConnectionInfo, _ format: String, _ ids: [String]) async throws -> Resolved {
        let encryption = try await passphrase(connection, ids)
        if connector.isConfigured { ledger.noteAttachment() }
        let path = try await connector.connect(connection)
        ledger.noteAttachment()
        guard let place = try await place(at: path) else {
            throw SwapFailure.invalidVolume("the new volume \(path) does not exist on this host", .newVolumeMissing)
        }
        return try await resolved(path, place, format, encryption, isConnected: true)
    }

    /// A share's volume that is not there: the connector mounts the share, where there is one.
    private func share(_ connection: ConnectionInfo, _ path: String, _ format: String, _ ids: [String]) async throws -> Resolved {
        guard let share = try connection.share(mountPointBase: settings.mountPointBase, argument: Self.argument),
            await !isMounted(share)
        else {
            throw SwapFailure.invalidVolume("the new volume \(path) does not exist on this host", .newVolumeMissing)
        }
        if connector.isConfigured { return try await attached(connection, format, ids) }
        throw SwapFailure.invalidVolume(
            """
            the share \(share.export) is not mounted on this host: \(share.name) was looked for in \(share.mountPoint). Mount it there, \
            set mount_point_base, or set connector_helper to mount it
            """, .newVolumeMissing)
    }

    private func isMounted(_ share: MountedShare) async -> Bool {
        guard let slash = share.mountPoint.lastIndex(of: "/") else { return false }
        let above = String(share.mountPoint[..<slash])
        async let mount = hypervisor.look(at: share.mountPoint, of: .swap)
        async let parent = hypervisor.look(at: above.isEmpty ? "/" : above, of: .swap)
        guard let inside = await mount.place?.fileID, let outside = await parent.place?.fileID else { return false }
        return inside.device != outside.device
    }

    /// What is at a path that `allowed_paths` allows, nothing opened yet; nil when nothing is there.
    private func place(at path: String) async throws(SwapFailure) -> PathDescription? {
        let allowedPaths = settings.allowedPaths
        let answer = await hypervisor.look(at: path, of: .swap)
        guard answer.place.map(allowedPaths.allows) ?? allowedPaths.allows(resolved: path) else {
            let real = answer.place.map { $0.canonicalPath == path ? "" : " (which is \($0.canonicalPath))" } ?? ""
            throw .invalidInput("\(Self.argument).data.device_path: \(path)\(real) is not among allowed_paths", .pathNotAllowed)
        }
        switch answer {
        case .found(let place): return place
        case .nothing: return nil
        case .failed(let reason): throw .invalidVolume("the new volume \(path) cannot be looked at: \(reason)", .ioError)
        case .noAnswer: throw .invalidVolume("the new volume \(path) does not answer", .ioError)
        }
    }

    private func resolved(
        _ path: String, _ place: PathDescription, _ format: String, _ encryption: SecretReference?, isConnected: Bool
    ) async throws -> Resolved {
        guard place.kind != .other else {
            throw SwapFailure.invalidVolume("the new volume \(path) is neither a file nor a block device", .newVolumeMissing)
        }
        let location: VolumeLocation = place.kind == .block ? .block(path) : .file(path)
        ledger.note(location)
        let source = VolumeSource(location: location, format: format, encryption: encryption)
        var resolved = Resolved(source: source, bytes: nil, isConnected: isConnected, madeSecret: nil)
        guard format == "raw" else { return resolved }
        if encryption != nil {
            guard let header = try await hypervisor.luksPayloadOffset(path: path) else { return resolved }
            resolved.headerBytes = header
        }
        guard let opened = try await hypervisor.inspect(path: path) else {
            throw SwapFailure.invalidVolume("the new volume \(path) does not exist on this host", .newVolumeMissing)
        }
        resolved.bytes = opened.bytes - (resolved.headerBytes ?? 0)
        return resolved
    }

    /// The secret of usage type volume whose usage is the volume's id, as nova names it.
    private func passphrase(_ connection: ConnectionInfo, _ ids: [String]) async throws -> SecretReference? {
        guard connection.isEncrypted else {
            try await checkOmission(connection, ids)
            return nil
        }
        for usage in ids {
            if let uuid = try await hypervisor.secret(usageType: "volume", usage: usage) {
                return SecretReference(type: "passphrase", uuid: uuid)
            }
        }
        throw SwapFailure.invalidVolume(
            "the new volume is encrypted, but libvirt has no secret of usage type volume for it (looked for \(ids.joined(separator: ", ")))",
            .secretMissing)
    }

    /// nova looks for a passphrase in every case: who has one for a volume means it to be encrypted.
    private func checkOmission(_ connection: ConnectionInfo, _ ids: [String]) async throws {
        guard !connection.saysEncrypted else { return }
        for id in ids where try await hypervisor.hasPassphrase(volumeID: id) {
            throw SwapFailure.invalidVolume(
                """
                libvirt has a passphrase for the new volume \(id), but new_connection_info.data.encrypted is absent: say true, or false \
                to write plain data
                """)
        }
    }

    private func authentication(
        _ connection: ConnectionInfo, _ network: NetworkLocation
    ) async throws -> (VolumeSource.Auth?, madeSecret: String?) {
        switch network.transport {
        case "rbd":
            guard connection.data["auth_enabled"]?.boolValue ?? false else { return (nil, nil) }
            let user = try connection.requiredText("auth_username", "new_connection_info")
            let uuid = try connection.requiredText("secret_uuid", "new_connection_info").lowercased()
            guard InstanceReference.isUUID(uuid) else {
                throw SwapFailure.invalidInput("new_connection_info.data.secret_uuid: is not a UUID")
            }
            guard try await hypervisor.hasSecret(uuid: uuid) else {
                throw SwapFailure.invalidVolume(
                    "libvirt has no secret \(uuid), which the new volume \(network) needs", .secretMissing)
            }
            return (.init(username: user, secret: SecretReference(type: "ceph", uuid: uuid)), nil)
        case "iscsi":
            guard let user = connection.text("auth_username"), let password = connection.text("auth_password") else {
                return (nil, nil)
            }
            ledger.note(.network(network))
            let uuid = try await chapSecret(network, password: password)
            return (.init(username: user, secret: SecretReference(type: "iscsi", uuid: uuid)), uuid)
        default:
            return (nil, nil)
        }
    }

    /// libvirt's secret for CHAP: made once for each target and kept while a VM uses it.
    private func chapSecret(_ network: NetworkLocation, password: String) async throws -> String {
        let usage = CHAPSecret.usage(network)
        let uuid = try await hypervisor.secret(usageType: "iscsi", usage: usage) ?? CHAPSecret.uuid(network)
        ledger.note(madeSecret: uuid)
        let xml = DomainXML.secret(uuid: uuid, usageType: "iscsi", usage: usage, description: CHAPSecret.mark)
        try await hypervisor.makeSecret(xml: xml, uuid: uuid, value: Array(password.utf8))
        return uuid
    }
}

/// How pivotd names the libvirt secrets that it makes itself: by target, so that they can be found again without a journal.
enum CHAPSecret {
    static let mark = "CHAP secret made by pivotd"

    static func usage(_ network: NetworkLocation) -> String { "pivotd:\(network)" }

    /// A UUID derived from the target (version 8, custom).
    static func uuid(_ network: NetworkLocation) -> String {
        var hex = Array(TaskID.fnv1a128(usage(network)))
        hex[12] = "8"
        hex[16] = "a"
        let parts = [0..<8, 8..<12, 12..<16, 16..<20, 20..<32].map { String(hex[$0]) }
        return parts.joined(separator: "-")
    }
}
