/// What is over a block device, as sysfs shows it.
extension BlockDevices {
    /// A block device in sysfs.
    struct Device: Sendable, Hashable {
        /// Its directory, which has the kernel's name for it.
        var directory: String

        var name: String { directory.split(separator: "/").last.map(String.init) ?? directory }
    }

    /// The device of this number; nil if sysfs does not show it.
    func device(_ number: UInt64) -> Device? { FilePaths.resolve(directory(of: number)).map { Device(directory: $0) } }

    /// What has claimed a device or one of its partitions to be over it: LVM, md, multipath.
    func holders(of device: Device) -> [Device] {
        ([device] + partitions(of: device)).flatMap { part in
            names(in: "\(part.directory)/holders").map { name in
                let link = "\(part.directory)/holders/\(name)"
                return Device(directory: FilePaths.resolve(link) ?? link)
            }
        }
    }

    func partitions(of device: Device) -> [Device] {
        names(in: device.directory).filter { $0.hasPrefix(device.name) }
            .map { Device(directory: "\(device.directory)/\($0)") }.filter(isPartition)
    }

    /// The disk that a partition is on; nil if the device is no partition.
    func disk(of device: Device) -> Device? {
        guard isPartition(device), let slash = device.directory.lastIndex(of: "/") else { return nil }
        return Device(directory: String(device.directory[..<slash]))
    }

    /// Whether it is a multipath map, or a partition of one.
    func isMultipath(_ device: Device) -> Bool {
        let uuid = mapID(device.directory)
        return Self.isMultipath(uuid) || uuid.hasPrefix("part") && uuid.contains("-mpath-")
    }

    /// `major:minor`
    func number(of device: Device) -> String? { text("\(device.directory)/dev") }

    /// Device mapper's name, else the kernel's.
    func title(of device: Device) -> String { text("\(device.directory)/dm/name") ?? device.name }

    private func isPartition(_ device: Device) -> Bool { text("\(device.directory)/partition") != nil }
}
