import JSON
import Testing

@testable import VolumeSwap

@Suite("Different names of one volume")
struct LocationTests {
    static func network(_ transport: String, _ name: String, _ hosts: [(String, Int?)]) -> NetworkLocation {
        NetworkLocation(transport: transport, name: name, hosts: hosts.map { .init(name: $0.0, port: $0.1) })
    }

    @Test(
        "Network volumes compare strictly by a common host, generously by the volume's own names",
        arguments: [
            (network("rbd", "p/i", [("a", 6789)]), network("rbd", "p/i", [("b", 6789), ("A", nil)]), true, true),
            (network("rbd", "p/i", [("a", 6789)]), network("rbd", "p/i", []), true, true),
            (network("rbd", "p/i", [("a", 6789)]), network("rbd", "p/j", [("a", 6789)]), false, false),
            (network("rbd", "p/i", [("a", 6789)]), network("rbd", "p/i", [("b", 6789)]), false, true),
            (network("iscsi", "q/1", [("h", nil)]), network("iscsi", "q/1", [("h", 3260)]), true, true),
            (network("iscsi", "q/1", [("h", 3261)]), network("iscsi", "q/1", [("h", 3260)]), false, true),
            (network("nbd", "", [("localhost", 10809)]), network("nbd", "", [("127.0.0.1", nil)]), true, true),
            (network("nbd", "", [("a", 1)]), network("nbd", "", [("b", 1)]), false, false),
            (network("nbd", "x", [("h", 1)]), network("rbd", "x", [("h", 1)]), false, false),
        ])
    func isSame(one: NetworkLocation, other: NetworkLocation, strictly: Bool, generously: Bool) async throws {
        #expect(one.isSame(as: other) == strictly)
        #expect(other.isSame(as: one) == strictly)
        let comparison = LocationComparison(hypervisor: FakeHypervisor())
        #expect(try await comparison.isSame(.network(one), .network(other)) == generously)
    }

    @Test("IPv6 addresses print in brackets")
    func printed() {
        #expect(Self.network("rbd", "p/i", [("fd00::1", 6789), ("b", nil)]).description == "rbd://[fd00::1]:6789,b/p/i")
    }

    @Test("Paths compare by links, device numbers, and files behind devices")
    func paths() async throws {
        let hypervisor = FakeHypervisor()
        hypervisor.set("/dev/vg/lv", kind: .block, canonical: "/dev/dm-3", device: 9)
        hypervisor.set("/dev/dm-3", kind: .block, device: 9)
        hypervisor.set("/tmp/node", kind: .block, device: 9)
        hypervisor.set("/dev/dm-4", kind: .block, device: 10)
        hypervisor.set("/link", kind: .file, canonical: Fixture.newPath)
        let comparison = LocationComparison(hypervisor: hypervisor)
        #expect(try await comparison.isSame(.block("/dev/vg/lv"), .block("/dev/dm-3")))
        #expect(try await comparison.isSame(.block("/tmp/node"), .block("/dev/dm-3")))
        #expect(try await !comparison.isSame(.block("/dev/dm-4"), .block("/dev/dm-3")))
        #expect(try await comparison.isSame(.file("/link"), .file(Fixture.newPath)))
        #expect(try await comparison.isSame(.file("/x"), .block("/x")))
        #expect(try await !comparison.isSame(.file(Fixture.oldPath), .file(Fixture.newPath)))
        #expect(try await !comparison.isSame(.file("/missing/a"), .file("/missing/b")))
        #expect(try await !comparison.isSame(.file("/x"), .network(Self.network("nbd", "x", []))))
    }

    @Test("A host device matches its initiator's or client's view")
    func attached() async throws {
        let hypervisor = FakeHypervisor()
        hypervisor.set("/dev/sdb", kind: .block, device: 9)
        hypervisor.describe("/dev/sdb") { $0.links = ["/dev/disk/by-path/ip-10.0.0.1:3260-iscsi-iqn.a:b-lun-3"] }
        hypervisor.set("/dev/rbd0", kind: .block, device: 10)
        hypervisor.describe("/dev/rbd0") { $0.rbdImage = "p/i" }
        let comparison = LocationComparison(hypervisor: hypervisor)
        #expect(try await comparison.isSame(.block("/dev/sdb"), .network(Self.network("iscsi", "iqn.a:b/3", [("x", 1)]))))
        #expect(try await !comparison.isSame(.block("/dev/sdb"), .network(Self.network("iscsi", "iqn.a:b/4", [("x", 1)]))))
        #expect(try await comparison.isSame(.network(Self.network("rbd", "p/i", [])), .block("/dev/rbd0")))
        #expect(try await !comparison.isSame(.network(Self.network("rbd", "p/j", [])), .block("/dev/rbd0")))
    }

    @Test("A look that was not waited for does not make two names two volumes")
    func givenUp() async throws {
        let comparison = LocationComparison(hypervisor: FakeHypervisor())
        let task = Task {
            while !Task.isCancelled { await Task.yield() }
            #expect(try await comparison.isSame(.file("/same"), .file("/same")))
            return try await comparison.isSame(.file(Fixture.oldPath), .file(Fixture.newPath))
        }
        task.cancel()
        let error = await #expect(throws: HypervisorError.self) { try await task.value }
        #expect(error?.isPassing == true)
    }

    @Test("Equal names, and kinds that never match, are not examined")
    func untouched() async throws {
        let hypervisor = FakeHypervisor()
        let comparison = LocationComparison(hypervisor: hypervisor)
        #expect(try await comparison.isSame(.file("/dead"), .file("/dead")))
        #expect(try await !comparison.isSame(.file("/dead"), .network(Self.network("rbd", "p/i", []))))
        #expect(try await !comparison.isSame(.block("/dead"), .network(Self.network("nbd", "x", [("h", nil)]))))
        #expect(hypervisor.touches.isEmpty)
    }

    @Test("old_connection_info describes a disk by path, target or serial")
    func describes() async throws {
        let hypervisor = FakeHypervisor()
        hypervisor.set("/dev/dm-4", kind: .block, device: 4)
        let comparison = LocationComparison(hypervisor: hypervisor)
        func describes(_ name: String, _ location: VolumeLocation, serial: String? = nil) async throws -> Bool {
            let connection = try ConnectionInfoShapes.connection(name)
            var disk = try #require(try DomainDescription(xml: Fixture.domainXML(source: "/x")).disk("vdb"))
            disk.location = location
            disk.serial = serial
            return try await comparison.describes(connection, disk, mountPointBase: "/mnt")
        }
        #expect(try await describes("local_lvm", .block("/dev/cinder-volumes/volume-4")))
        #expect(try await !describes("local_lvm", .block("/dev/cinder-volumes/volume-5")))
        #expect(try await describes("rbd", .network(Self.network("rbd", "volumes/volume-1", [("10.0.0.12", nil)]))))
        #expect(try await !describes("rbd", .network(Self.network("rbd", "volumes/volume-2", [("10.0.0.12", nil)]))))
        let initiator = VolumeLocation.network(Self.network("iscsi", "iqn.2010-10.org.openstack:v2/1", [("10.0.1.21", 3260)]))
        #expect(try await describes("iscsi_multipath", initiator))
        #expect(try await describes("iscsi_multipath", .block("/dev/dm-4")))
        #expect(try await describes("nbd", .network(Self.network("nbd", "volume-7", [("10.0.0.51", 10809)]))))
        #expect(try await !describes("nbd", .network(Self.network("nbd", "volume-8", [("10.0.0.51", 10809)]))))
        let connector = try ConnectionInfo(
            json: ["driver_volume_type": "vendor", "serial": "v-9", "data": [:]], argument: "old_connection_info")
        var disk = try #require(try DomainDescription(xml: Fixture.domainXML(source: "/x")).disk("vdb"))
        disk.serial = "v-9"
        #expect(try await comparison.describes(connector, disk, mountPointBase: "/mnt"))
        disk.serial = nil
        #expect(try await !comparison.describes(connector, disk, mountPointBase: "/mnt"))
    }

    struct Case: Sendable, CustomTestStringConvertible {
        var name: String
        var type: String
        var data: JSONObject
        var shown: VolumeLocation
        var isDescribed: Bool
        var testDescription: String { name }
    }

    static let iqn = "iqn.2010-10.org.openstack:v"
    static let target: JSONObject = ["target_portal": "10.0.0.1:3260", "target_iqn": .string(iqn), "target_lun": 1]

    static let bySerial: [Case] = [
        Case(
            name: "other monitors", type: "rbd", data: ["name": "p/i", "hosts": ["a"], "ports": ["6789"]],
            shown: .network(network("rbd", "p/i", [("b", 3300)])), isDescribed: true),
        Case(
            name: "another image", type: "rbd", data: ["name": "p/j", "hosts": ["b"], "ports": ["3300"]],
            shown: .network(network("rbd", "p/i", [("b", 3300)])), isDescribed: false),
        Case(
            name: "another portal", type: "iscsi", data: target,
            shown: .network(network("iscsi", "\(iqn)/1", [("10.0.0.2", 3260)])),
            isDescribed: true),
        Case(
            name: "another LUN", type: "iscsi", data: target, shown: .network(network("iscsi", "\(iqn)/2", [("10.0.0.1", 3260)])),
            isDescribed: false),
        Case(name: "no device_path", type: "iscsi", data: target, shown: .block("/dev/sdb"), isDescribed: true),
        Case(name: "a device of another LUN", type: "iscsi", data: target, shown: .block("/dev/sdc"), isDescribed: false),
        Case(
            name: "several portals, the initiator's view", type: "iscsi",
            data: [
                "target_portals": ["a:3260", "b:3260"], "target_iqns": [.string(iqn), .string(iqn)], "target_luns": [1, 1],
            ],
            shown: .network(network("iscsi", "\(iqn)/1", [("c", 3260)])), isDescribed: true),
        Case(
            name: "several portals, another LUN", type: "iscsi",
            data: [
                "target_portals": ["a:3260", "b:3260"], "target_iqns": [.string(iqn), .string(iqn)], "target_luns": [1, 1],
            ],
            shown: .network(network("iscsi", "\(iqn)/5", [("a", 3260)])), isDescribed: false),
        Case(
            name: "another nbd host", type: "nbd", data: ["host": "a", "port": 5, "export": "x"],
            shown: .network(network("nbd", "x", [("b", 5)])), isDescribed: true),
        Case(
            name: "another export", type: "nbd", data: ["host": "a", "port": 5, "export": "y"],
            shown: .network(network("nbd", "x", [("a", 5)])), isDescribed: false),
        Case(
            name: "another nbd port", type: "nbd", data: ["host": "a", "port": 6, "export": "x"],
            shown: .network(network("nbd", "x", [("a", 5)])), isDescribed: false),
        Case(name: "another path", type: "local", data: ["device_path": "/x"], shown: .file("/y"), isDescribed: false),
        Case(
            name: "an image of another kind", type: "rbd", data: ["name": "p/i"], shown: .network(network("nbd", "p/i", [])),
            isDescribed: false),
        Case(name: "a fabric without a path", type: "fibre_channel", data: [:], shown: .block("/dev/sdb"), isDescribed: true),
        Case(
            name: "a fabric, and QEMU's own client", type: "fibre_channel", data: [:],
            shown: .network(network("rbd", "p/i", [])), isDescribed: false),
    ]

    @Test("A disk with the old volume's serial may be reached differently, but not be a different volume", arguments: bySerial)
    func describedBySerial(example: Case) async throws {
        let hypervisor = FakeHypervisor()
        hypervisor.set("/dev/sdb", kind: .block, device: 1)
        hypervisor.set("/dev/sdc", kind: .block, device: 2)
        hypervisor.describe("/dev/sdc") { $0.links = ["/dev/disk/by-path/ip-10.0.0.1:3260-iscsi-\(Self.iqn)-lun-7"] }
        let comparison = LocationComparison(hypervisor: hypervisor)
        let connection = try VolumeTargetTests.connection(example.type, example.data, ["serial": "V-1"])
        var disk = try #require(try DomainDescription(xml: Fixture.domainXML(source: "/x")).disk("vdb"))
        disk.location = example.shown
        disk.serial = "v-1"
        #expect(try await comparison.describes(connection, disk, mountPointBase: "/mnt") == example.isDescribed)
        disk.serial = "another"
        let needsSerial = ["another portal", "several portals, the initiator's view"].contains(example.name)
        guard example.isDescribed, !needsSerial else { return }
        #expect(try await !comparison.describes(connection, disk, mountPointBase: "/mnt"))
        #expect(try await comparison.describes(connection, volumeID: "another", disk, mountPointBase: "/mnt"))
    }

    @Test("A destination is matched by place, format and encryption")
    func match() async throws {
        let comparison = LocationComparison(hypervisor: FakeHypervisor())
        func disk(_ format: String, _ secret: String? = nil) throws -> DiskDescription {
            let encryption =
                secret.map { "<encryption format='luks'><secret type='passphrase' uuid='\($0)'/></encryption>" } ?? ""
            return try #require(
                try DomainDescriptionTests.disk("<driver type='\(format)'/><source file='/n'>\(encryption)</source>"))
        }
        func mirror(_ format: String, _ secret: String? = nil) throws -> DiskFacts.Mirror {
            let encryption =
                secret.map { "<encryption format='luks'><secret type='passphrase' uuid='\($0)'/></encryption>" } ?? ""
            let element =
                "<mirror type='file' job='copy'><format type='\(format)'/><source file='/n'>\(encryption)</source></mirror>"
            return try #require(try DomainDescriptionTests.disk("<source file='/o'/>\(element)")?.mirror)
        }
        let plain = VolumeSource(location: .file("/n"), format: "raw")
        let sealed = VolumeSource(
            location: .file("/n"), format: "raw", encryption: SecretReference(type: "passphrase", uuid: "abc"))
        #expect(try await comparison.match(disk("raw"), plain) == .same)
        #expect(try await comparison.match(mirror("raw"), plain) == .same)
        #expect(try await comparison.match(disk("raw", "ABC"), sealed) == .same)
        #expect(try await comparison.match(mirror("raw", "ABC"), sealed) == .same)
        for differing in [try disk("qcow2"), try disk("raw", "abc")] {
            guard case .differs = try await comparison.match(differing, plain) else {
                Issue.record("taken for the same")
                continue
            }
        }
        for (differing, wanted) in [
            (try mirror("qcow2"), plain), (try mirror("raw", "abc"), plain), (try mirror("raw"), sealed),
            (try mirror("raw", "other"), sealed),
        ] {
            guard case .differs = try await comparison.match(differing, wanted) else {
                Issue.record("taken for the same")
                continue
            }
        }
        #expect(try await comparison.match(disk("raw"), VolumeSource(location: .file("/m"), format: "raw")) == .elsewhere)
    }
}
