import Glibc
import SystemPackage
import VolumeSwap

/// Finds out whether the host itself uses a block device: a mount, swap space, LVM, md and multipath claim it. QEMU claims nothing.
struct DeviceUses: Sendable {
    var devices = BlockDevices()
    var mountList = "/proc/self/mountinfo"
    var swapList = "/proc/swaps"
    /// Claims a device for an instant.
    ///
    /// - Returns: 0, or `errno`: `EBUSY` if somebody else has claimed it.
    var claim: @Sendable (String) -> CInt = { DeviceUses.openExclusively($0) }

    /// How often to try to claim a device: another check, of a swap or of `check_swap`, holds it for an instant.
    private static let claims = 5
    /// Success, and the errors of a device that is offline or was removed: the kernel looks at claims before it has the driver open the
    /// device, so nobody else has claimed it.
    private static let unclaimed: Set<CInt> = [0, ENXIO, ENODEV, EIO, ENOMEDIUM]

    /// Whether a device is claimed.
    ///
    /// - Throws: ``HypervisorError`` if it cannot be opened for another reason.
    func isHeld(_ path: String) throws(HypervisorError) -> Bool { try isClaimed(path, unless: [0]) }

    /// What the host does with a device, by its claims: nil if it has claimed it for nothing but a multipath map that has no use itself.
    ///
    /// - Throws: ``HypervisorError`` if it cannot be determined.
    func find(at path: String, number: UInt64) throws(HypervisorError) -> HostUse? {
        guard try isClaimed(path, unless: Self.unclaimed.union([ENOENT])) else { return nil }
        guard let device = devices.device(number) else { return HostUse() }
        return try use(ofClaimed: device)
    }

    private func use(ofClaimed device: BlockDevices.Device) throws(HypervisorError) -> HostUse? {
        let holders = devices.holders(of: device)
        // A partition cannot be claimed while its whole disk is.
        if holders.isEmpty, let disk = devices.disk(of: device) { return try use(ofClaimed: disk) }
        guard !holders.isEmpty, holders.allSatisfy(devices.isMultipath) else { return use(through: holders) }
        for map in holders where try isClaimed("\(devices.deviceDirectory)/\(map.name)", unless: Self.unclaimed) {
            if let use = try use(ofClaimed: map) { return use }
        }
        return nil
    }

    /// Like ``find(at:number:)``, by the kernel's lists alone: for a device that does not answer when it is opened.
    func findListed(_ number: UInt64) throws(HypervisorError) -> HostUse? {
        guard let device = devices.device(number), let mounts = devices.text(mountList) else {
            throw HypervisorError(.other, "\(devices.systemDirectory) or \(mountList) cannot be read")
        }
        let mounted = MountList(mounts)
        let sources = mounted.sources + SwapList.devices(devices.text(swapList) ?? "")
        let inDirectory = sources.filter { $0.hasPrefix("\(devices.deviceDirectory)/") }
        let names = inDirectory.map { BlockDevices.Device(directory: FilePaths.resolve($0) ?? $0).name }
        return use(of: device, numbers: mounted.numbers, names: Set(names))
    }

    /// - Parameters:
    ///   - numbers: of devices that are mounted.
    ///   - names: of devices that are mounted or swap space.
    private func use(of device: BlockDevices.Device, numbers: Set<String>, names: Set<String>) -> HostUse? {
        let holders = devices.holders(of: device)
        guard holders.allSatisfy(devices.isMultipath) else { return use(through: holders) }
        for part in [device] + devices.partitions(of: device) {
            if names.contains(part.name) || devices.number(of: part).map({ numbers.contains($0) }) ?? false { return HostUse() }
        }
        for map in holders {
            if let use = use(of: map, numbers: numbers, names: names) { return use }
        }
        return nil
    }

    private func use(through holders: [BlockDevices.Device]) -> HostUse { HostUse(holders: holders.map(devices.title)) }

    private func isClaimed(_ path: String, unless free: Set<CInt>) throws(HypervisorError) -> Bool {
        for _ in 0..<Self.claims {
            let error = claim(path)
            if free.contains(error) { return false }
            guard error == EBUSY else { throw HypervisorError(.other, "cannot open \(path): \(Errno(rawValue: error))") }
            usleep(10_000)  // bounded; this blocks the probe's own thread
        }
        return true
    }

    private static func openExclusively(_ path: String) -> CInt {
        do {
            try FileDescriptor.open(FilePath(path), .readOnly, options: [.exclusiveCreate, .closeOnExec, .nonBlocking]).close()
            return 0
        } catch {
            return (error as? Errno)?.rawValue ?? EINVAL
        }
    }
}

/// The text of `/proc/self/mountinfo`.
struct MountList: Sendable {
    /// `major:minor` of each mounted file system.
    private(set) var numbers: Set<String> = []
    /// What is mounted, since btrfs has numbers of its own.
    private(set) var sources: [String] = []

    init(_ text: String) {
        for line in text.split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard fields.count > 6 else { continue }
            numbers.insert(String(fields[2]))
            // A hyphen ends the optional fields; the type and the source follow.
            if let hyphen = fields[6...].firstIndex(of: "-"), hyphen + 2 < fields.count {
                sources.append(SwapList.unescaped(fields[hyphen + 2]))
            }
        }
    }
}
