import JSON
import OrderedCollections
import Testing

@testable import VolumeSwap

@Suite("Two names of one volume")
struct LocationTests {
    static func network(_ transport: String, _ name: String, _ hosts: [(String, Int?)]) -> NetworkLocation {
        NetworkLocation(transport: transport, name: name, hosts: hosts.map { .init(name: $0.0, port: $0.1) })
    }

    @Test(
        "Network disks",
        arguments: [
            (network("rbd", "p/i", [("a", 6789)]), network("rbd", "p/i", [("b", 6789), ("A", nil)]), true),
            (network("rbd", "p/i", [("a", 6789)]), network("rbd", "p/i", []), true),
            (network("rbd", "p/i", [("a", 6789)]), network("rbd", "p/j", [("a", 6789)]), false),
            (network("rbd", "p/i", [("a", 6789)]), network("rbd", "p/i", [("b", 6789)]), false),
            (network("iscsi", "q/1", [("h", nil)]), network("iscsi", "q/1", [("h", 3260)]), true),
            (network("iscsi", "q/1", [("h", 3261)]), network("iscsi", "q/1", [("h", 3260)]), false),
            (network("nbd", "", [("localhost", 10809)]), network("nbd", "", [("127.0.0.1", nil)]), true),
            (network("nbd", "x", [("h", 1)]), network("rbd", "x", [("h", 1)]), false),
        ])
    func isSame(one: NetworkLocation, other: NetworkLocation, same: Bool) async throws {
        #expect(one.isSame(as: other) == same)
        #expect(other.isSame(as: one) == same)
        let comparison = LocationComparison(hypervisor: FakeHypervisor())
        #expect(try await comparison.isSame(.network(one), .network(other)) == same)
    }

    @Test("Printed with IPv6 in brackets")
    func printed() {
        #expect(Self.network("rbd", "p/i", [("fd00::1", 6789), ("b", nil)]).description == "rbd://[fd00::1]:6789,b/p/i")
    }

    @Test("Paths: links, devices by number, a file for a device")
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

    @Test("old_connection_info: by path, by target, by serial")
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
}
