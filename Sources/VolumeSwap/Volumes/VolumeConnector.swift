/// Attaches volumes to the host that neither a path nor QEMU reaches: the connector helper.
package protocol VolumeConnector: Sendable {
    /// Whether there is one to attach what QEMU could reach by itself.
    var isConfigured: Bool { get }

    /// Attaches the volume; attaching what is attached already gives the same path.
    ///
    /// - Returns: the path of its device or file.
    /// - Throws: ``SwapFailure`` of kind `invalidVolume` with the helper's own words.
    func connect(_ volume: ConnectionInfo) async throws(SwapFailure) -> String
    func disconnect(_ volume: ConnectionInfo) async throws(SwapFailure)
}

/// Stands where no `connector_helper` is set.
package struct NoConnector: VolumeConnector {
    package init() {}

    package var isConfigured: Bool { false }

    package func connect(_ volume: ConnectionInfo) async throws(SwapFailure) -> String {
        throw .invalidVolume(
            "driver_volume_type '\(volume.driverVolumeType)' has no device_path here and is not known to pivotd itself; "
                + "set connector_helper to attach it", .notSupported)
    }

    package func disconnect(_ volume: ConnectionInfo) async throws(SwapFailure) {}
}
