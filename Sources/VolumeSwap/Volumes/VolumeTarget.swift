import JSON

/// Where connection_info places a volume, before the host is asked.
package enum VolumeTarget: Sendable, Hashable {
    /// A host path; only the host knows whether it is a file or a block device.
    case path(String)
    /// A volume that QEMU reaches by itself.
    case network(NetworkLocation)
    /// Only the connector helper knows the place.
    case connector

    /// The place as far as connection_info shows it, assuming that a path is a block device.
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
    ///   - mountPointBase: the setting used if connection_info names no `mount_point_base`.
    ///   - argument: names the argument in errors.
    /// - Throws: ``SwapFailure`` of kind `invalidInput` naming the member.
    package func target(mountPointBase: String, argument: String) throws(SwapFailure) -> VolumeTarget {
        try driver.target(of: self, DriverContext(mountPointBase: mountPointBase, argument: argument))
    }

    /// The image format: `raw` unless connection_info says `qcow2`.
    ///
    /// - Throws: ``SwapFailure`` of kind `invalidInput` for any other format.
    package func format(argument: String) throws(SwapFailure) -> String {
        guard let value = data["format"], !value.isNull else { return "raw" }
        guard let format = value.stringValue, ["raw", "qcow2"].contains(format) else {
            throw .invalidInput("\(argument).data.format: must be raw or qcow2")
        }
        return format
    }
}
