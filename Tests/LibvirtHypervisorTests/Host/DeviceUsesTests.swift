import Glibc
import Testing
import VolumeSwap

@testable import LibvirtHypervisor

@Suite("The host's own use of block devices")
struct DeviceUsesTests {
    /// LUNs: below a map that LVM is on, an idle map, a map with a partition, nothing, md; with LVM on a partition; with a partition below
    /// a map; and two maps of which LVM is on one.
    static let disks: [(number: String, name: String, files: [String: String])] = [
        (
            "8:16", "sdb",
            [
                "holders/dm-4/dm/uuid": "mpath-3600b", "holders/dm-4/holders/dm-7/dm/uuid": "LVM-abc",
                "holders/dm-4/holders/dm-7/dm/name": "vg0-root",
            ]
        ),
        ("8:32", "sdc", ["holders/dm-5/dm/uuid": "mpath-3600c", "holders/dm-5/dev": "253:5"]),
        (
            "8:48", "sdd",
            [
                "holders/dm-6/dm/uuid": "mpath-3600d", "holders/dm-6/holders/dm-8/dm/uuid": "part1-mpath-3600d",
                "holders/dm-6/holders/dm-8/dev": "253:8",
            ]
        ),
        ("8:64", "sde", [:]), ("8:80", "sdf", ["holders/md0/md/level": "raid1"]),
        ("8:96", "sdg", ["sdg1/partition": "1", "sdg1/dev": "8:97", "sdg1/holders/dm-9/dm/uuid": "LVM-def"]),
        ("8:112", "sdh", ["holders/dm-10/dm/uuid": "mpath-3600e"]), ("8:113", "sdh/sdh1", ["partition": "1"]),
        (
            "8:128", "sdi",
            [
                "holders/dm-11/dm/uuid": "mpath-a", "holders/dm-12/dm/uuid": "mpath-b",
                "holders/dm-12/holders/dm-13/dm/uuid": "LVM-ghi",
            ]
        ),
    ]

    static func number(_ text: String) -> UInt64 {
        let parts = text.split(separator: ":").compactMap { UInt64($0) }
        return parts[0] << 8 | parts[1]
    }

    /// Devices whose exclusive open gives these errors.
    static func uses(_ devices: BlockDevices, _ errors: [String: CInt]) -> DeviceUses {
        DeviceUses(devices: devices, claim: { path in errors[path.split(separator: "/").last.map(String.init) ?? ""] ?? 0 })
    }

    struct Case: Sendable, CustomTestStringConvertible {
        var name: String
        var number: String
        var claimed: [String]
        var use: HostUse?
        var testDescription: String { "\(name), claimed \(claimed)" }
    }

    static let cases: [Case] = [
        Case(name: "sdb", number: "8:16", claimed: ["sdb", "dm-4"], use: HostUse(holders: ["vg0-root"])),
        Case(name: "sdc", number: "8:32", claimed: ["sdc"], use: nil),
        Case(name: "sdc", number: "8:32", claimed: ["sdc", "dm-5"], use: HostUse()),
        Case(name: "sdd", number: "8:48", claimed: ["sdd", "dm-6"], use: nil),
        Case(name: "sdd", number: "8:48", claimed: ["sdd", "dm-6", "dm-8"], use: HostUse()),
        Case(name: "sde", number: "8:64", claimed: [], use: nil),
        Case(name: "sde", number: "8:64", claimed: ["sde"], use: HostUse()),
        Case(name: "sdf", number: "8:80", claimed: ["sdf"], use: HostUse(holders: ["md0"])),
        Case(name: "sdg", number: "8:96", claimed: ["sdg"], use: HostUse(holders: ["dm-9"])),
        Case(name: "sdh1", number: "8:113", claimed: ["sdh1", "sdh"], use: nil),
        Case(name: "sdh1", number: "8:113", claimed: ["sdh1", "sdh", "dm-10"], use: HostUse()),
        Case(name: "sdi", number: "8:128", claimed: ["sdi", "dm-12"], use: HostUse(holders: ["dm-13"])),
        Case(name: "sdz", number: "65:144", claimed: ["sdz"], use: HostUse()),
    ]

    @Test("Claims are a use, other than those of multipath maps that have none themselves", arguments: cases)
    func claims(example: Case) async throws {
        try await BlockDevicesTests.withDisks(Self.disks) { (devices) throws in
            let uses = Self.uses(devices, Dictionary(uniqueKeysWithValues: example.claimed.map { ($0, EBUSY) }))
            let path = "\(devices.deviceDirectory)/\(example.name)"
            #expect(try uses.find(at: path, number: Self.number(example.number)) == example.use)
        }
    }

    @Test("A device that is offline or gone is not claimed; one that may not be opened may be", arguments: ["sde", "sdc"])
    func errors(name: String) async throws {
        try await BlockDevicesTests.withDisks(Self.disks) { (devices) throws in
            let path = "\(devices.deviceDirectory)/\(name)"
            let number = Self.number(name == "sde" ? "8:64" : "8:32")
            // Of the map, if there is one over the device.
            func uses(_ error: CInt) -> DeviceUses {
                Self.uses(devices, name == "sde" ? [name: error] : [name: EBUSY, "dm-5": error])
            }
            for error in [ENXIO, ENODEV, EIO, ENOMEDIUM] { #expect(try uses(error).find(at: path, number: number) == nil) }
            for error in [EACCES, EPERM] {
                #expect(throws: HypervisorError.self) { try uses(error).find(at: path, number: number) }
            }
            #expect(try Self.uses(devices, [name: ENOENT]).find(at: path, number: number) == nil)
            #expect(throws: HypervisorError.self) { try Self.uses(devices, [name: ENXIO]).isHeld(path) }
        }
    }

    @Test("Without an open: holders, mounts and swap space, those of partitions and of multipath maps included")
    func lists() async throws {
        try await BlockDevicesTests.withDisks(Self.disks) { (devices) throws in
            var uses = Self.uses(devices, [:])
            uses.mountList = "\(devices.systemDirectory)/mountinfo"
            uses.swapList = "\(devices.systemDirectory)/swaps"
            #expect(throws: HypervisorError.self) { try uses.findListed(Self.number("8:64")) }
            func check(_ mount: String, _ swap: String = "") throws -> [String] {
                let mounts = "22 1 0:21 / /proc rw shared:12 - proc proc rw\n\(mount)"
                try BlockDevicesTests.write(mounts, to: uses.mountList)
                try BlockDevicesTests.write("Filename Type Size Used Priority\n\(swap)", to: uses.swapList)
                return try Self.disks.compactMap { disk in
                    try uses.findListed(Self.number(disk.number)).map { "\(disk.name) \($0.holders)" }
                }
            }
            let held = ["sdb [\"vg0-root\"]", "sdf [\"md0\"]", "sdg [\"dm-9\"]", "sdi [\"dm-13\"]"]
            #expect(try check("") == held)
            #expect(try check("36 22 8:64 / /srv rw - ext4 /dev/root rw") == (held + ["sde []"]).sorted())
            #expect(try check("36 22 253:5 / /a\\040b rw - xfs none rw") == (held + ["sdc []"]).sorted())
            #expect(try check("36 22 253:8 / /srv rw - xfs none rw") == (held + ["sdd []"]).sorted())
            let source = "\(devices.deviceDirectory)/sdh1"
            #expect(
                try check("36 22 0:40 / /srv rw master:1 - btrfs \(source) rw") == (held + ["sdh []", "sdh/sdh1 []"]).sorted())
            #expect(try check("", "\(devices.deviceDirectory)/sde partition 8 0 -2") == (held + ["sde []"]).sorted())
            #expect(try check("", "\(devices.deviceDirectory)/sde file 8 0 -2") == held)
            #expect(throws: HypervisorError.self) { try uses.findListed(Self.number("65:144")) }
        }
    }
}
