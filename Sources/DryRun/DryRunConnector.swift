package import VolumeSwap

/// Gives every volume a path on the simulated host.
package struct DryRunConnector: VolumeConnector {
    package init() {}

    /// False, so that QEMU's own clients are used where possible.
    package var isConfigured: Bool { false }

    /// A path derived from the volume; attaches nothing.
    package func connect(_ volume: ConnectionInfo) async throws(SwapFailure) -> String { Self.path(volume) }

    /// Does nothing.
    package func disconnect(_ volume: ConnectionInfo) async throws(SwapFailure) {}

    static func path(_ volume: ConnectionInfo) -> String {
        let name = (volume.volumeID ?? volume.driverVolumeType).map { $0 == "/" ? "-" : $0 }
        return "/dev/disk/by-id/dry-run-\(String(name))"
    }
}
