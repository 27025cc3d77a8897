package import VolumeSwap

/// Gives every volume a path on the simulated host.
package struct DryRunConnector: VolumeConnector {
    package init() {}

    /// QEMU reaches what it can by itself.
    package var isConfigured: Bool { false }

    package func connect(_ volume: ConnectionInfo) async throws(SwapFailure) -> String { Self.path(volume) }

    package func disconnect(_ volume: ConnectionInfo) async throws(SwapFailure) {}

    static func path(_ volume: ConnectionInfo) -> String {
        let name = (volume.volumeID ?? volume.driverVolumeType).map { $0 == "/" ? "-" : $0 }
        return "/dev/disk/by-id/dry-run-\(String(name))"
    }
}
