import JSON
import OrderedCollections

/// Turns connection_info into a destination that libvirt understands, connecting the volume where that is needed.
struct VolumeResolver {
    let environment: SwapEnvironment

    private var hypervisor: any Hypervisor { environment.hypervisor }
    private var connector: any VolumeConnector { environment.connector }

    struct Resolved {
        var source: VolumeSource
        /// The exact size that a guest can use, bytes; nil where only QEMU can tell.
        var bytes: Int64?
        /// Of a LUKS volume whose header could be read.
        var headerBytes: Int64?
        var isConnected: Bool
        var madeSecret: String?
    }

    func destination(_ connection: ConnectionInfo, volumeID: String?) async throws -> Resolved {
        let argument = "new_connection_info"
        let format = try connection.format(argument: argument)
        let encryption = try await passphrase(connection, volumeID)
        switch try connection.target(mountPointBase: environment.settings.mountPointBase, argument: argument) {
        case .path(let path):
            return try await resolved(path: path, format, encryption, isConnected: false, argument)
        case .network(let network):
            let (auth, madeSecret) = try await authentication(connection, network)
            let source = VolumeSource(location: .network(network), format: format, auth: auth, encryption: encryption)
            return Resolved(source: source, bytes: nil, isConnected: false, madeSecret: madeSecret)
        case .connector:
            let path = try await connector.connect(connection)
            do {
                return try await resolved(path: path, format, encryption, isConnected: true, argument)
            } catch {
                try? await connector.disconnect(connection)
                throw error
            }
        }
    }

    private func resolved(
        path: String, _ format: String, _ encryption: SecretReference?, isConnected: Bool, _ argument: String
    ) async throws -> Resolved {
        let place = try await hypervisor.inspect(path: path)
        let allowedPaths = environment.settings.allowedPaths
        guard place.map(allowedPaths.allows) ?? allowedPaths.allows(resolved: path) else {
            let real = place.map { $0.canonicalPath == path ? "" : " (which is \($0.canonicalPath))" } ?? ""
            throw SwapFailure.invalidInput("\(argument).data.device_path: \(path)\(real) is not among allowed_paths")
        }
        guard let place else { throw SwapFailure.invalidVolume("the new volume \(path) does not exist on this host") }
        guard place.kind != .other else {
            throw SwapFailure.invalidVolume("the new volume \(path) is neither a file nor a block device")
        }
        let location: VolumeLocation = place.kind == .block ? .block(path) : .file(path)
        let source = VolumeSource(location: location, format: format, encryption: encryption)
        var resolved = Resolved(source: source, bytes: nil, isConnected: isConnected, madeSecret: nil)
        guard format == "raw" else { return resolved }
        if encryption != nil {
            guard let header = try await hypervisor.luksPayloadOffset(path: path) else { return resolved }
            resolved.headerBytes = header
        }
        resolved.bytes = place.bytes - (resolved.headerBytes ?? 0)
        return resolved
    }

    /// The secret of usage type volume whose usage is the volume's id, as nova names it.
    private func passphrase(_ connection: ConnectionInfo, _ volumeID: String?) async throws -> SecretReference? {
        guard connection.isEncrypted else { return nil }
        let candidates = [connection.json["serial"]?.stringValue, connection.text("volume_id"), volumeID].compactMap { $0 }
        for usage in candidates {
            if let uuid = try await hypervisor.secret(usageType: "volume", usage: usage) {
                return SecretReference(type: "passphrase", uuid: uuid)
            }
        }
        throw SwapFailure.invalidVolume(
            "the new volume is encrypted, but libvirt has no secret of usage type volume for it (looked for \(candidates.joined(separator: ", ")))"
        )
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
                throw SwapFailure.invalidVolume("libvirt has no secret \(uuid), which the new volume \(network) needs")
            }
            return (.init(username: user, secret: SecretReference(type: "ceph", uuid: uuid)), nil)
        case "iscsi":
            guard let user = connection.text("auth_username"), let password = connection.text("auth_password") else {
                return (nil, nil)
            }
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
