import JSON

/// Images of a Ceph cluster, reached by librbd or mapped to a host device by krbd.
struct RBD: NetworkVolumeDriver {
    let types = ["rbd"]
    let members: [String: ConnectionInfo.Member] = [
        "name": .text, "hosts": .list, "ports": .list, "auth_enabled": .boolean, "auth_username": .text, "secret_type": .text,
        "secret_uuid": .text,
    ]
    let isHostAttached = false
    let networkProtocol = "rbd"
    let defaultPort = 6789
    let hostDevice = HostDevice.named
    let isNamedByServer = false
    let canBeYanked = false

    func target(of connection: ConnectionInfo, _ context: DriverContext) throws(SwapFailure) -> VolumeTarget {
        let argument = context.argument
        let name = try connection.requiredText("name", argument)
        guard name.contains("/") else { throw .invalidInput("\(argument).data.name: must be POOL/IMAGE") }
        let ports = connection.data["ports"]?.arrayValue ?? []
        var hosts: [NetworkLocation.Host] = []
        for (index, host) in (connection.data["hosts"]?.arrayValue ?? []).enumerated() {
            guard let text = host.stringValue, !text.isEmpty else {
                throw .invalidInput("\(argument).data.hosts: must be strings")
            }
            let port = index < ports.count ? try ConnectionInfo.port(ports[index], "\(argument).data.ports") : nil
            hosts.append(.init(name: ConnectionInfo.bare(text), port: port))
        }
        return .network(NetworkLocation(transport: networkProtocol, name: name, hosts: hosts))
    }

    /// The name is pool and image, since one cluster's monitors are listed in many ways.
    func names(of network: NetworkLocation) -> Set<VolumeIdentity.Name> { [name(network.name)] }

    func name(ofPath path: String) -> VolumeIdentity.Name? {
        let directory = "/dev/rbd/"
        return path.hasPrefix(directory) ? name(String(path.dropFirst(directory.count))) : nil
    }

    func name(ofDevice place: PathDescription) -> VolumeIdentity.Name? { place.rbdImage.map(name) }

    private func name(_ image: String) -> VolumeIdentity.Name { .init(.network(networkProtocol), image) }

    /// The operator provides the secret of the cluster's user; nova needs it too.
    func credentials(
        of connection: ConnectionInfo, _ network: NetworkLocation, _ hypervisor: any Hypervisor
    ) async throws -> VolumeCredentials {
        guard connection.data["auth_enabled"]?.boolValue ?? false else { return VolumeCredentials() }
        let user = try connection.requiredText("auth_username", "new_connection_info")
        let uuid = try connection.requiredText("secret_uuid", "new_connection_info").lowercased()
        guard InstanceReference.isUUID(uuid) else {
            throw SwapFailure.invalidInput("new_connection_info.data.secret_uuid: not a UUID")
        }
        guard try await hypervisor.hasSecret(uuid: uuid) else {
            throw SwapFailure.invalidVolume(
                "libvirt has no secret \(uuid), which the new volume \(network) needs", .secretMissing)
        }
        return VolumeCredentials(auth: .init(username: user, secret: SecretReference(type: "ceph", uuid: uuid)))
    }
}
