/// A LUN that a guest has by `<hostdev type='scsi'>`: it uses a volume, but is not a disk that can be moved.
package enum PassedThroughLUN: Sendable, Hashable, CustomStringConvertible {
    /// Reached by QEMU's own initiator.
    case network(NetworkLocation)
    /// One of the host's devices.
    case host(SCSIAddress)

    package var description: String {
        switch self {
        case .network(let network): network.description
        case .host(let address): address.description
        }
    }

    /// - Returns: nil for any other `<hostdev>`.
    init?(element: XMLTree) {
        guard element.value("mode") == "subsystem", element.value("type") == "scsi", let source = element.first("source") else {
            return nil
        }
        if source.value("protocol") == "iscsi", case .network(let network)? = VolumeLocation(type: "network", source: source) {
            self = .network(network)
        } else if let address = SCSIAddress(source: source) {
            self = .host(address)
        } else {
            return nil
        }
    }
}

/// Where a host has a LUN.
package struct SCSIAddress: Sendable, Hashable, CustomStringConvertible {
    /// The number of the adapter, `scsi_hostN`.
    package var host: Int
    package var bus: Int
    package var target: Int
    package var unit: Int

    package init(host: Int, bus: Int, target: Int, unit: Int) {
        self.host = host
        self.bus = bus
        self.target = target
        self.unit = unit
    }

    /// As sysfs names it: `2:0:0:1`.
    package var description: String { "\(host):\(bus):\(target):\(unit)" }

    fileprivate init?(source: XMLTree) {
        let prefix = "scsi_host"
        guard let adapter = source.first("adapter")?.value("name"), adapter.hasPrefix(prefix),
            let host = Int(adapter.dropFirst(prefix.count)), let address = source.first("address")
        else { return nil }
        let numbers = ["bus", "target", "unit"].compactMap { address.value($0).flatMap { Int($0) } }
        guard numbers.count == 3 else { return nil }
        self.init(host: host, bus: numbers[0], target: numbers[1], unit: numbers[2])
    }
}
