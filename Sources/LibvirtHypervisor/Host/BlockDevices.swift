import Foundation
import VolumeSwap

/// Reads what sysfs and udev know about a block device.
struct BlockDevices: Sendable {
    var deviceDirectory = "/dev"
    var systemDirectory = "/sys"
    let udev = DeviceLinks()

    /// Adds the device's other names.
    func describe(_ place: inout PathDescription) {
        guard let number = place.deviceNumber else { return }
        let directory = directory(of: number)
        guard let name = device(number)?.name else { return }
        place.loopFile = text("\(directory)/loop/backing_file")
        place.rbdImage = rbdImage(name)
        place.isMultipath = Self.isMultipath(mapID(directory))
        let paths = place.isMultipath ? names(in: "\(directory)/slaves") : []
        place.links = links(to: [name] + paths)
        place.wwids = wwids(directory, paths: paths)
    }

    /// Mapped rbd images, by the kernel's names; iSCSI LUNs and their partitions, by udev's.
    func ofNetworkVolumes(_ networkProtocol: String) -> [String] {
        let byPath = "\(deviceDirectory)/disk/by-path"
        return switch networkProtocol {
        case "rbd": names(in: "\(systemDirectory)/block").filter { $0.hasPrefix("rbd") }.map { "\(deviceDirectory)/\($0)" }
        case "iscsi": names(in: byPath).filter { $0.contains("-iscsi-") }.map { "\(byPath)/\($0)" }
        default: []
        }
    }

    func names(in directory: String) -> [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []).sorted()
    }

    /// The disk at a SCSI address; nil if nothing is there, or something that is not a disk.
    ///
    /// - Throws: ``HypervisorError`` if sysfs cannot be read.
    func scsiDisk(at address: SCSIAddress) throws(HypervisorError) -> String? {
        let directory = "\(systemDirectory)/bus/scsi/devices/\(address)/block"
        guard FileManager.default.fileExists(atPath: directory) else { return nil }
        do {
            return try FileManager.default.contentsOfDirectory(atPath: directory).first.map { "\(deviceDirectory)/\($0)" }
        } catch {
            throw HypervisorError(.other, "cannot read \(directory): \(error.localizedDescription)")
        }
    }

    func directory(of number: UInt64) -> String {
        let (major, minor) = (number >> 8 & 0xfff | number >> 32 & ~0xfff, number & 0xff | number >> 12 & ~0xff)
        return "\(systemDirectory)/dev/block/\(major):\(minor)"
    }

    /// Whether it is a multipath device: all devices below are the same LUN. A partition of one is none.
    static func isMultipath(_ mapID: String) -> Bool { mapID.hasPrefix("mpath-") }

    /// Device mapper's UUID; empty for a device that is not one of its own.
    func mapID(_ directory: String) -> String { text("\(directory)/dm/uuid") ?? "" }

    /// The identifiers of the LUN or namespace: the device's own, or those of a multipath device and its paths. A partition has none,
    /// as sysfs shows its disk's at the disk alone.
    private func wwids(_ directory: String, paths: [String]) -> [String] {
        let multipath = text("\(directory)/dm/uuid").flatMap { WWID(multipath: $0) }
        let devices = [directory] + paths.map { "\(directory)/slaves/\($0)" }
        // SCSI's attribute is at the device of the disk, NVMe's at the disk itself.
        let own = devices.flatMap { ["\($0)/device/wwid", "\($0)/wwid"] }.map { text($0).flatMap { WWID(sysfs: $0) } }
        return Set(([multipath] + own).compactMap { $0?.name }).sorted()
    }

    private func rbdImage(_ name: String) -> String? {
        guard name.hasPrefix("rbd"), let id = name.dropFirst(3).split(separator: "p").first else { return nil }
        let directory = "\(systemDirectory)/bus/rbd/devices/\(id)"
        guard let pool = text("\(directory)/pool"), let image = text("\(directory)/name") else { return nil }
        let namespace = text("\(directory)/pool_ns").map { "\($0)/" } ?? ""
        return "\(pool)/\(namespace)\(image)"
    }

    private func links(to devices: [String]) -> [String] {
        let links = udev.links(in: "\(deviceDirectory)/disk/by-path")
        return devices.flatMap { links[$0] ?? [] }
    }

    func text(_ path: String) -> String? {
        guard let data = FileManager.default.contents(atPath: path) else { return nil }
        let text = String(decoding: data, as: UTF8.self).trimmingCharacters(in: .newlines)
        return text.isEmpty ? nil : text
    }
}
