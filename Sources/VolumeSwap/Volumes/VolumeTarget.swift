import JSON

/// Where connection_info says a volume is, before the host has been looked at.
package enum VolumeTarget: Sendable, Hashable {
    /// A host path; whether it is a file or a block device is the host's to say.
    case path(String)
    case network(NetworkLocation)
    /// Only the connector helper can tell.
    case connector

    /// The place, as far as the text tells: a path counts as a device's.
    package var location: VolumeLocation? {
        switch self {
        case .path(let path): .block(path)
        case .network(let network): .network(network)
        case .connector: nil
        }
    }
}

extension ConnectionInfo {
    /// The place that this connection_info names, as its driver reads it.
    ///
    /// - Parameters:
    ///   - mountPointBase: the setting used when connection_info names no `mount_point_base`.
    ///   - hasConnector: whether a connector can attach a volume that QEMU could reach by itself.
    ///   - prefersQEMUInitiator: whether QEMU's own initiator is preferred over such a connector, where connection_info does not say.
    ///   - argument: names the argument in an error.
    /// - Throws: ``SwapFailure`` of kind `invalidInput` that names the member.
    package func target(
        mountPointBase: String, hasConnector: Bool = false, prefersQEMUInitiator: Bool = false, argument: String
    ) throws(SwapFailure) -> VolumeTarget {
        let context = DriverContext(
            mountPointBase: mountPointBase, hasConnector: hasConnector, prefersQEMUInitiator: prefersQEMUInitiator,
            argument: argument)
        return try driver.target(of: self, context)
    }

    /// The format of the bytes: `raw` unless the driver says `qcow2`.
    ///
    /// - Throws: ``SwapFailure`` of kind `invalidInput` for any other.
    package func format(argument: String) throws(SwapFailure) -> String {
        guard let value = data["format"], !value.isNull else { return "raw" }
        guard let format = value.stringValue, ["raw", "qcow2"].contains(format) else {
            throw .invalidInput("\(argument).data.format: must be raw or qcow2")
        }
        return format
    }
}
