/// Volumes that a connector attaches to the host: fibre_channel, nvmeof, scaleio, storpool, and every unknown type.
struct HostAttached: VolumeDriver {
    let types: [String] = []
    let members: [String: ConnectionInfo.Member] = [:]
    let isHostAttached = true

    func target(of connection: ConnectionInfo, _ context: DriverContext) throws(SwapFailure) -> VolumeTarget {
        if let path = connection.devicePath { return .path(path) }
        return try share(of: connection, context).map { .path($0.path) } ?? .connector
    }
}
