import Foundation
import Testing
import VolumeSwap

@testable import LibvirtHypervisor

@Suite("Block devices in sysfs")
struct BlockDevicesTests {
    static func write(_ text: String, to path: String) throws {
        let url = URL(filePath: path)
        try FileManager.default.createDirectory(at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data("\(text)\n".utf8).write(to: url)
    }

    @Test("A mapped rbd image, and a multipath device with the links of its paths")
    func names() async throws {
        try await HostPathsTests.withDirectory { directory in
            let (system, byPath) = ("\(directory)/sys", "\(directory)/dev/disk/by-path")
            try Self.write("volumes", to: "\(system)/bus/rbd/devices/3/pool")
            try Self.write("v-1", to: "\(system)/bus/rbd/devices/3/name")
            try Self.write("", to: "\(system)/bus/rbd/devices/3/pool_ns")
            try Self.write("252:0", to: "\(system)/devices/rbd3/dev")
            try Self.write("mpath-3600", to: "\(system)/devices/dm-4/dm/uuid")
            try Self.write("", to: "\(system)/devices/dm-4/slaves/sdb")
            try Self.write("LVM-abc", to: "\(system)/devices/dm-5/dm/uuid")
            try Self.write("", to: "\(system)/devices/dm-5/slaves/sdb")
            try FileManager.default.createDirectory(atPath: "\(system)/dev/block", withIntermediateDirectories: true)
            try FileManager.default.createDirectory(atPath: byPath, withIntermediateDirectories: true)
            try HostPathsTests.link("\(byPath)/iscsi-b", to: "../../sdb")
            for (number, name) in [("252:0", "rbd3"), ("253:4", "dm-4"), ("253:5", "dm-5")] {
                try HostPathsTests.link("\(system)/dev/block/\(number)", to: "../../devices/\(name)")
            }
            let devices = BlockDevices(deviceDirectory: "\(directory)/dev", systemDirectory: system)
            func describe(_ major: UInt64, _ minor: UInt64) -> PathDescription {
                var place = PathDescription(
                    kind: .block, bytes: 0, canonicalPath: "/dev/x", names: [], deviceNumber: major << 8 | minor)
                devices.describe(&place)
                return place
            }
            #expect(describe(252, 0).rbdImage == "volumes/v-1")
            #expect(describe(253, 4).links == ["\(byPath)/iscsi-b"])
            #expect(describe(253, 5).links.isEmpty)
            #expect(describe(253, 4).isMultipath && !describe(253, 5).isMultipath)
            try Self.write("ns", to: "\(system)/bus/rbd/devices/3/pool_ns")
            #expect(describe(252, 0).rbdImage == "volumes/ns/v-1")
        }
    }

    @Test("udev's links are read again only once their directory has changed, and as long as it may change within one tick")
    func linksAreKept() async throws {
        try await HostPathsTests.withDirectory { directory in
            let links = DeviceLinks()
            func touch(_ date: Date) throws {
                try FileManager.default.setAttributes([.modificationDate: date], ofItemAtPath: directory)
            }
            try HostPathsTests.link("\(directory)/a", to: "../../sdb")
            try HostPathsTests.link("\(directory)/broken", to: "/")
            #expect(links.links(in: directory) == ["sdb": ["\(directory)/a"]])
            try HostPathsTests.link("\(directory)/b", to: "../../sdb")
            #expect(links.links(in: directory) == ["sdb": ["\(directory)/a", "\(directory)/b"]])
            let past = Date(timeIntervalSince1970: 1_000_000_000)
            try touch(past)
            #expect(links.links(in: directory)["sdc"] == nil)
            try HostPathsTests.link("\(directory)/c", to: "../../sdc")
            try touch(past)
            #expect(links.links(in: directory)["sdc"] == nil, "it was not read")
            try touch(past + 1)
            #expect(links.links(in: directory)["sdc"] == ["\(directory)/c"])
            #expect(links.links(in: "\(directory)/none").isEmpty)
        }
    }

    /// A sysfs with these disks, by device number, and the text of files below the disk's directory.
    static func withDisks(
        _ disks: [(number: String, name: String, files: [String: String])], _ body: (BlockDevices) throws -> Void
    ) async throws {
        try await HostPathsTests.withDirectory { directory in
            let system = "\(directory)/sys"
            try FileManager.default.createDirectory(atPath: "\(system)/dev/block", withIntermediateDirectories: true)
            for disk in disks {
                try Self.write(disk.number, to: "\(system)/devices/\(disk.name)/dev")
                for (file, text) in disk.files { try Self.write(text, to: "\(system)/devices/\(disk.name)/\(file)") }
                try HostPathsTests.link("\(system)/dev/block/\(disk.number)", to: "../../devices/\(disk.name)")
            }
            try body(BlockDevices(deviceDirectory: "\(directory)/dev", systemDirectory: system))
        }
    }

    static func wwids(_ devices: BlockDevices, _ major: UInt64, _ minor: UInt64) -> [String] {
        var place = PathDescription(kind: .block, bytes: 0, canonicalPath: "/dev/x", names: [], deviceNumber: major << 8 | minor)
        devices.describe(&place)
        return place.wwids
    }

    @Test("A LUN has one identifier by every path and as a multipath device; its partitions have none")
    func wwids() async throws {
        let (lun, other) = ("naa.60014051ba4a3c5f3c94f0d8c5a8d3a1", "naa.600140540a93c1d1b1c4a2f9d8d5e7b0")
        try await Self.withDisks([
            ("8:16", "sdb", ["device/wwid": lun]), ("8:17", "sdb/sdb1", ["partition": "1"]),
            ("8:32", "sdc", ["device/wwid": lun]), ("8:48", "sdd", ["device/wwid": other]),
            ("8:64", "sde", ["device/wwid": "t10.ATA     QEMU HARDDISK                           QM00001"]), ("8:80", "sdf", [:]),
            ("253:4", "dm-4", ["dm/uuid": "mpath-3\(lun.dropFirst(4))"]),
            ("253:5", "dm-5", ["dm/uuid": "mpath-alias", "slaves/sdd/device/wwid": other]),
            ("253:6", "dm-6", ["dm/uuid": "part1-mpath-3\(lun.dropFirst(4))", "slaves/dm-4/dm/uuid": "mpath-x"]),
            ("253:7", "dm-7", ["dm/uuid": "LVM-abc", "slaves/sdd/device/wwid": other]),
        ]) { devices in
            for (major, minor) in [(8, 16), (8, 32), (253, 4)] as [(UInt64, UInt64)] {
                #expect(Self.wwids(devices, major, minor) == [lun])
            }
            #expect(Self.wwids(devices, 8, 48) == [other] && Self.wwids(devices, 253, 5) == [other])
            for (major, minor) in [(8, 17), (8, 64), (8, 80), (253, 6), (253, 7)] as [(UInt64, UInt64)] {
                #expect(Self.wwids(devices, major, minor) == [])
            }
        }
    }

    @Test("The host's devices that may be network volumes")
    func networkVolumes() async throws {
        try await Self.withDisks([]) { devices in
            for name in ["rbd12", "rbd3", "sdb", "loop0"] {
                try Self.write("1", to: "\(devices.systemDirectory)/block/\(name)/size")
            }
            let byPath = "\(devices.deviceDirectory)/disk/by-path"
            let lun = "ip-10.0.0.1:3260-iscsi-iqn.a:b-lun-1"
            for name in [lun, "\(lun)-part1", "pci-0000:00:1f.2-ata-1"] { try Self.write("", to: "\(byPath)/\(name)") }
            #expect(devices.ofNetworkVolumes("rbd") == ["rbd12", "rbd3"].map { "\(devices.deviceDirectory)/\($0)" })
            #expect(devices.ofNetworkVolumes("iscsi") == [lun, "\(lun)-part1"].map { "\(byPath)/\($0)" })
            #expect(devices.ofNetworkVolumes("nbd").isEmpty)
        }
    }

    @Test("The disk at a SCSI address, if one is there")
    func scsiDisk() async throws {
        try await Self.withDisks([("8:16", "sdb", [:])]) { devices in
            try Self.write("8:16", to: "\(devices.systemDirectory)/bus/scsi/devices/2:0:0:1/block/sdb/dev")
            try Self.write("tape", to: "\(devices.systemDirectory)/bus/scsi/devices/2:0:0:2/type")
            let disks = try (1...3).map { try devices.scsiDisk(at: SCSIAddress(host: 2, bus: 0, target: 0, unit: $0)) }
            #expect(disks == ["\(devices.deviceDirectory)/sdb", nil, nil])
        }
    }

    @Test("An NVMe namespace over two controllers without the kernel's own multipathing")
    func namespaces() async throws {
        let uuid = "uuid.f1a3cb5e-5c3e-4b8a-9d0c-3b0f4d1d2a6e"
        try await Self.withDisks([
            ("259:0", "nvme0n1", ["wwid": uuid, "device/serial": "S1"]), ("259:1", "nvme1n1", ["wwid": uuid]),
            ("259:2", "nvme0n1/nvme0n1p1", ["partition": "1"]), ("259:3", "nvme0n2", ["wwid": "eui.0025385b01404a8f"]),
            ("253:0", "dm-0", ["dm/uuid": "mpath-\(uuid)", "slaves/nvme0n1/wwid": uuid]),
        ]) { devices in
            #expect(Self.wwids(devices, 259, 0) == [uuid] && Self.wwids(devices, 259, 1) == [uuid])
            #expect(Self.wwids(devices, 253, 0) == [uuid])
            #expect(Self.wwids(devices, 259, 2) == [] && Self.wwids(devices, 259, 3) == ["eui.0025385b01404a8f"])
        }
    }
}
