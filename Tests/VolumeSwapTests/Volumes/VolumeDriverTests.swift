import JSON
import Testing

@testable import VolumeSwap

@Suite("Volume drivers")
struct VolumeDriverTests {
    static let protocols = ["rbd", "nbd", "iscsi"]

    @Test("A type that no driver knows is a connector's to attach", arguments: ["fibre_channel", "nvmeof", "vendor"])
    func unknown(type: String) {
        #expect(VolumeDrivers.serving(type: type).isHostAttached)
    }

    @Test("A driver serves the type and libvirt's protocol of its name", arguments: protocols)
    func registry(name: String) throws {
        let driver = try #require(VolumeDrivers.serving(networkProtocol: name))
        #expect(driver.types.contains(name))
        #expect(VolumeDrivers.serving(type: name).types == driver.types)
    }

    @Test("A protocol that pivotd does not swap to has no driver, and a name all the same")
    func foreign() {
        let place = NetworkLocation(transport: "gluster", name: "v/f", hosts: [])
        #expect(place.driver == nil && !place.canBeHostDevice)
        #expect(VolumeIdentity(text: .network(place)).names.count == 1)
    }

    @Test("A volume is known by a name of its own protocol, and by no other", arguments: protocols)
    func names(transport: String) {
        let hosts = [NetworkLocation.Host(name: "h", port: 1)]
        let one = VolumeIdentity(text: .network(NetworkLocation(transport: transport, name: "a/0", hosts: hosts)))
        let other = VolumeIdentity(text: .network(NetworkLocation(transport: transport, name: "b/0", hosts: hosts)))
        #expect(one.meets(one) && !one.meets(other) && one.contradicts(other))
        for foreign in Self.protocols where foreign != transport {
            let named = VolumeIdentity(text: .network(NetworkLocation(transport: foreign, name: "a/0", hosts: hosts)))
            #expect(!one.meets(named) && !one.contradicts(named))
        }
    }

    @Test("QEMU can break off its connection to an NBD server alone", arguments: protocols)
    func yank(transport: String) {
        let place = VolumeLocation.network(NetworkLocation(transport: transport, name: "a/0", hosts: []))
        #expect(place.canBeYanked == (transport == "nbd"))
    }

    @Test("A member is judged the same whatever the kind", arguments: ["rbd", "nbd", "iscsi", "local", "vendor"])
    func members(type: String) {
        let failure = Fixture.failure {
            _ = try ConnectionInfo(json: ["driver_volume_type": .string(type), "data": ["hosts": "h"]], argument: "a")
        }
        #expect(failure?.reason.contains("a.data.hosts: must be a list") == true)
    }
}
