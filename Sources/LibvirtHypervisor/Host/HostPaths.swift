import Glibc
import SystemPackage
import VolumeSwap

/// Examines paths on the host. Slow storage blocks a dedicated thread, never a task's.
struct HostPaths: Sendable {
    /// Separate from other guests' paths, so that a swap's own paths are examined however many of those hang.
    private static let own = ProbePool()
    private static let foreign = ProbePool()
    /// Separate, as opening a file may hang where its name is still found.
    private static let headers = ProbePool()
    /// Separate, as no storage is touched: these answer however many paths hang.
    private static let system = ProbePool()
    /// How long examining a swap's own volume may take.
    private static let patience = Duration.seconds(30)

    private let own: ProbePool
    private let foreign: ProbePool
    private let headers: ProbePool
    private let system: ProbePool
    private let devices: BlockDevices
    private let uses: DeviceUses
    private let files: HostFiles

    init(
        devices: BlockDevices = BlockDevices(), files: HostFiles = HostFiles(), own: ProbePool = Self.own,
        foreign: ProbePool = Self.foreign, headers: ProbePool = Self.headers, system: ProbePool = Self.system
    ) {
        self.devices = devices
        self.uses = DeviceUses(devices: devices)
        self.files = files
        self.own = own
        self.foreign = foreign
        self.headers = headers
        self.system = system
    }

    /// Describes a path; opens a block device to get its size.
    ///
    /// - Throws: ``HypervisorError`` if it exists but cannot be examined.
    func inspect(_ path: String) async throws(HypervisorError) -> PathDescription? {
        try await ask(path) { [devices] () throws(HypervisorError) in
            var place = try Self.look(path, devices)
            if place?.kind == .block, let device = place?.canonicalPath { place?.bytes = try Self.blockDeviceSize(device) }
            return place
        }
    }

    /// Examines a path without opening anything.
    func look(at path: String, of owner: PathOwner) async -> PathAnswer {
        let pool = owner == .swap ? own : foreign
        let answer = await pool.ask(path, patience: owner.patience) { [devices] in
            do throws(HypervisorError) {
                return try Self.look(path, devices).map { PathAnswer.found($0) } ?? .nothing
            } catch {
                return .failed(error.message)
            }
        }
        return answer ?? .noAnswer
    }

    /// The file below a qcow2 image, from the image's header.
    func backingFile(of path: String) async -> BackingAnswer {
        await headers.ask(path, patience: PathOwner.another.patience) { QCOW2Header.backingFile(ofImage: path) } ?? .noAnswer
    }

    /// The files that the host itself uses. Only their names are read; they themselves may be on a dead mount.
    func filesInUse() async throws(HypervisorError) -> [HostFile] {
        try await ask(files.systemDirectory, from: system) { [files] () throws(HypervisorError) in files.inUse() }
    }

    /// The devices that may be volumes of a network protocol. Only their names are read.
    func networkDevices(of networkProtocol: String) async throws(HypervisorError) -> [String] {
        try await ask(devices.systemDirectory, from: system) { [devices] () throws(HypervisorError) in
            devices.ofNetworkVolumes(networkProtocol)
        }
    }

    /// The disk at a SCSI address. Only sysfs is read.
    func scsiDisk(at address: SCSIAddress) async throws(HypervisorError) -> String? {
        try await ask(devices.systemDirectory, from: system) { [devices] () throws(HypervisorError) in
            try devices.scsiDisk(at: address)
        }
    }

    /// Whether a block device is claimed exclusively, as by a mount, swap, LVM, md or multipath. QEMU claims nothing.
    ///
    /// - Throws: ``HypervisorError`` if the device cannot be opened for another reason.
    func isHeld(_ path: String) async throws(HypervisorError) -> Bool {
        try await ask(path) { [uses] () throws(HypervisorError) in try uses.isHeld(path) }
    }

    /// What the host itself does with a block device; nil if it does nothing, or if the device is not there.
    ///
    /// A LUN whose paths are down makes an open wait in its driver, past the claim; then the kernel's lists are all there is to ask.
    ///
    /// - Throws: ``HypervisorError`` if it cannot be determined.
    func use(of path: String) async throws(HypervisorError) -> HostUse? {
        let claimed = try await answer(path, from: own) { [devices, uses] () throws(HypervisorError) -> HostUse? in
            guard let number = try Self.look(path, devices)?.deviceNumber else { return nil }
            return try uses.find(at: path, number: number)
        }
        if let claimed { return claimed }
        // Elsewhere the name itself may hang.
        guard path.hasPrefix("\(devices.deviceDirectory)/") else { throw Self.silence(path) }
        return try await ask(path, from: system) { [devices, uses] () throws(HypervisorError) -> HostUse? in
            guard let number = try Self.look(path, devices)?.deviceNumber else { return nil }
            return try uses.findListed(number)
        }
    }

    /// The payload offset of a LUKS 1 header in bytes; nil if there is no readable one.
    func luksPayloadOffset(_ path: String) async throws(HypervisorError) -> Int64? {
        try await ask(path) { (try? LUKSHeader(path: path))?.payloadOffset }
    }

    /// The size in a qcow2 header in bytes; nil if there is no readable one.
    func imageBytes(_ path: String) async throws(HypervisorError) -> Int64? {
        try await ask(path) { QCOW2Header.guestBytes(ofImage: path) }
    }

    /// The UUID in a LUKS header; nil if there is none.
    ///
    /// - Throws: ``HypervisorError`` if that cannot be read, `denied` if QEMU may be allowed to: root on a share may not.
    func luksUUID(_ path: String) async throws(HypervisorError) -> String? {
        try await ask(path) { () throws(HypervisorError) -> String? in
            do {
                return try LUKSHeader(path: path)?.uuid
            } catch Errno.permissionDenied, Errno.notPermitted {
                throw HypervisorError(.denied, "pivotd may not read \(path)")
            } catch {
                throw HypervisorError(.other, "cannot read \(path): \(error)")
            }
        }
    }

    private func ask<Value: Sendable>(
        _ path: String, from pool: ProbePool? = nil, _ work: @escaping @Sendable () throws(HypervisorError) -> Value
    ) async throws(HypervisorError) -> Value {
        if let value = try await answer(path, from: pool ?? own, work) { return value }
        throw Self.silence(path)
    }

    /// - Returns: nil if the path does not answer.
    private func answer<Value: Sendable>(
        _ path: String, from pool: ProbePool, _ work: @escaping @Sendable () throws(HypervisorError) -> Value
    ) async throws(HypervisorError) -> Value? {
        let answer = await pool.ask(path, patience: Self.patience) {
            Result { () throws(HypervisorError) in try work() }
        }
        if let answer { return try answer.get() }
        if Task.isCancelled { throw HypervisorError(.busy, "the look at \(path) was given up") }
        return nil
    }

    private static func silence(_ path: String) -> HypervisorError { HypervisorError(.other, "\(path) does not answer") }

    private static func look(_ path: String, _ devices: BlockDevices) throws(HypervisorError) -> PathDescription? {
        guard let canonical = FilePaths.resolve(path) else {
            let number = Errno(rawValue: errno)
            if number == .noSuchFileOrDirectory || number == .notDirectory { return nil }
            throw HypervisorError(.other, "cannot resolve \(path): \(number)")
        }
        let status: Stat
        do {
            status = try Stat(FilePath(canonical))
        } catch Errno.noSuchFileOrDirectory {
            return nil
        } catch {
            throw HypervisorError(.other, "cannot look at \(canonical): \(error)")
        }
        let names = FilePaths.names(path)
        guard status.type == .blockSpecial else {
            let isFile = status.type == .regular
            return PathDescription(
                kind: isFile ? .file : .other, bytes: isFile ? status.size : 0, canonicalPath: canonical, names: names,
                deviceNumber: nil, fileID: .init(device: UInt64(status.deviceID.rawValue), inode: UInt64(status.inode.rawValue)))
        }
        var place = PathDescription(
            kind: .block, bytes: 0, canonicalPath: canonical, names: names, deviceNumber: UInt64(status.specialDeviceID.rawValue))
        devices.describe(&place)
        return place
    }

    private static func blockDeviceSize(_ path: String) throws(HypervisorError) -> Int64 {
        var deed = "open"
        do {
            let device = try FileDescriptor.open(FilePath(path), .readOnly, options: [.closeOnExec, .nonBlocking])
            deed = "find the size of"
            return try device.closeAfter { try device.seek(offset: 0, from: .end) }
        } catch {
            throw HypervisorError(.other, "cannot \(deed) \(path): \(error)")
        }
    }
}

/// Resolves paths as the kernel does.
enum FilePaths {
    /// Every symbolic link on the way, with its directory resolved: the names that udev and LVM use for a device.
    static func names(_ path: String) -> [String] {
        var names: [String] = []
        var current = path
        for _ in 0..<16 {
            guard let slash = current.lastIndex(of: "/"),
                let directory = resolve(slash == current.startIndex ? "/" : String(current[..<slash]))
            else { return names }
            let name = (directory == "/" ? "" : directory) + current[slash...]
            names.append(name)
            guard let target = link(name) else { return names }
            current = target.hasPrefix("/") ? target : "\(directory)/\(target)"
        }
        return names
    }

    static func resolve(_ path: String) -> String? {
        guard let pointer = unsafe realpath(path, nil) else { return nil }
        defer { unsafe free(pointer) }
        return unsafe String(cString: pointer)
    }

    static func link(_ path: String) -> String? {
        var buffer = [UInt8](repeating: 0, count: Int(PATH_MAX))
        let count = unsafe buffer.withUnsafeMutableBytes { bytes -> Int in
            guard let start = unsafe bytes.baseAddress?.assumingMemoryBound(to: CChar.self) else { return 0 }
            return unsafe readlink(path, start, bytes.count)
        }
        return count > 0 ? String(decoding: buffer[..<count], as: UTF8.self) : nil
    }
}

/// "LUKS on-disk format specification": magic, version; the UUID, at the same place in versions 1 and 2; in version 1, at 104,
/// the offset of the payload in sectors of 512 bytes. All big-endian.
struct LUKSHeader {
    /// nil unless the version is 1, the only one that QEMU opens.
    var payloadOffset: Int64?
    var uuid: String

    /// - Returns: nil if nothing is there, or no header.
    /// - Throws: `Errno` if it cannot be read.
    init?(path: String) throws {
        let file: FileDescriptor
        do {
            file = try FileDescriptor.open(FilePath(path), .readOnly, options: [.closeOnExec, .nonBlocking])
        } catch Errno.noSuchFileOrDirectory {
            return nil
        }
        var header = [UInt8](repeating: 0, count: 208)
        let count = try file.closeAfter {
            unsafe try header.withUnsafeMutableBytes { unsafe try file.read(fromAbsoluteOffset: 0, into: $0) }
        }
        guard count == header.count, header.starts(with: Array("LUKS".utf8) + [0xBA, 0xBE]) else { return nil }
        if header[6] == 0, header[7] == 1 { payloadOffset = header[104..<108].reduce(0) { $0 << 8 | Int64($1) } * 512 }
        uuid = String(decoding: header[168..<208].prefix { $0 != 0 }, as: UTF8.self)
    }
}
