import JSON

/// Volumes that an NBD server exports.
struct NBD: NetworkVolumeDriver {
    let types = ["nbd"]
    let members: [String: ConnectionInfo.Member] = [
        "host": .text, "port": .port, "export": .text, "export_name": .text, "name": .text,
    ]
    let isHostAttached = false
    let networkProtocol = "nbd"
    let defaultPort = 10809
    let hostDevice = HostDevice.never
    let isNamedByServer = true
    let canBeYanked = true

    func target(of connection: ConnectionInfo, _ context: DriverContext) throws(SwapFailure) -> VolumeTarget {
        let host = try connection.requiredText("host", context.argument)
        var port: Int?
        if let value = connection.data["port"], !value.isNull {
            port = try ConnectionInfo.port(value, "\(context.argument).data.port")
        }
        let name = connection.text("export") ?? connection.text("export_name") ?? connection.text("name") ?? ""
        return .network(
            NetworkLocation(transport: networkProtocol, name: name, hosts: [.init(name: ConnectionInfo.bare(host), port: port)]))
    }

    func names(of network: NetworkLocation) -> Set<VolumeIdentity.Name> {
        Set(
            network.hosts.map { host in
                let address = NetworkLocation.plainHost(host.name)
                return .init(.network(networkProtocol), "\(address) \(host.port ?? defaultPort) \(network.name)")
            })
    }
}
