import JSON
import Testing

@testable import VolumeSwap

@Suite("Volume drivers")
struct VolumeDriverTests {
    static let protocols = ["rbd", "nbd", "iscsi"]

    @Test("A connector attaches types that no driver knows", arguments: ["fibre_channel", "nvmeof", "vendor"])
    func unknown(type: String) {
        #expect(VolumeDrivers.serving(type: type).isHostAttached)
    }

    @Test("A driver handles the type and the libvirt protocol of its name", arguments: protocols)
    func registry(name: String) throws {
        let driver = try #require(VolumeDrivers.serving(networkProtocol: name))
        #expect(driver.types.contains(name))
        #expect(VolumeDrivers.serving(type: name).types == driver.types)
    }

    @Test("A protocol that pivotd does not swap to has no driver, but its volumes have names")
    func foreign() {
        let place = NetworkLocation(transport: "gluster", name: "v/f", hosts: [])
        #expect(place.driver == nil && !place.canBeHostDevice)
        #expect(VolumeIdentity(text: .network(place)).names.count == 1)
    }

    @Test("A volume has names only in its own protocol", arguments: protocols)
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

    @Test("QEMU can drop its connection only to an NBD server", arguments: protocols)
    func yank(transport: String) {
        let place = VolumeLocation.network(NetworkLocation(transport: transport, name: "a/0", hosts: []))
        #expect(place.canBeYanked == (transport == "nbd"))
    }

    @Test("A member is checked the same whatever the driver", arguments: ["rbd", "nbd", "iscsi", "local", "vendor"])
    func members(type: String) {
        let failure = Fixture.failure {
            _ = try ConnectionInfo(json: ["driver_volume_type": .string(type), "data": ["hosts": "h"]], argument: "a")
        }
        #expect(failure?.reason.contains("a.data.hosts: must be a list") == true)
    }
}
