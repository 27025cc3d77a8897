package import JSON

/// Attaches volumes that neither a path nor QEMU reaches: the connector helper.
package protocol VolumeConnector: Sendable {
    /// Whether a helper is set, which can then also attach volumes that QEMU could reach by itself.
    var isConfigured: Bool { get }

    /// Why the volume certainly cannot be attached; nil if it may be. Asks no helper.
    func refusal(of volume: ConnectionInfo) -> SwapFailure?

    /// Attaches the volume; repeating it yields the same path.
    ///
    /// - Returns: the path of its device or file.
    /// - Throws: ``SwapFailure`` of kind `invalidVolume` with the helper's own message.
    func connect(_ volume: ConnectionInfo) async throws(SwapFailure) -> String
    /// Detaches the volume; may be called for one that is not attached.
    ///
    /// - Throws: ``SwapFailure`` of kind `invalidVolume` with the helper's own message.
    func disconnect(_ volume: ConnectionInfo) async throws(SwapFailure)
    /// What a storage system must know of this host to export a volume to it.
    ///
    /// - Throws: ``SwapFailure`` of kind `volumeRebaseFailed` with the helper's own message, `invalidInput` without one.
    func properties() async throws(SwapFailure) -> ConnectorProperties
}

/// A host's connector properties, as os-brick's `get_connector_properties` returns them: `host`, `ip`, `initiator`, `wwpns`, `nqn`,
/// `multipath` and others, opaque to pivotd.
package struct ConnectorProperties: Sendable, Hashable {
    package let json: JSONObject

    package init(json: JSONObject) { self.json = json }
}

extension VolumeConnector {
    package func properties() async throws(SwapFailure) -> ConnectorProperties {
        throw .invalidInput(
            "get_connector: this host has no connector helper; set connector_helper, or export volumes that QEMU or a path reaches",
            .notSupported)
    }
}

extension VolumeConnector {
    package func refusal(of volume: ConnectionInfo) -> SwapFailure? { nil }
}

/// The connector used when `connector_helper` is not set: it refuses every volume.
package struct NoConnector: VolumeConnector {
    package init() {}

    package var isConfigured: Bool { false }

    package func refusal(of volume: ConnectionInfo) -> SwapFailure? { Self.refusal(of: volume) }

    /// - Throws: ``SwapFailure`` of kind `invalidVolume`, always.
    package func connect(_ volume: ConnectionInfo) async throws(SwapFailure) -> String { throw Self.refusal(of: volume) }

    package func disconnect(_ volume: ConnectionInfo) async throws(SwapFailure) {}

    private static func refusal(of volume: ConnectionInfo) -> SwapFailure {
        .invalidVolume(
            "driver_volume_type '\(volume.driverVolumeType)' has no device_path here and is not known to pivotd itself; "
                + "set connector_helper to attach it", .notSupported)
    }
}
