import Testing

@testable import VolumeSwap

@Suite("Devices plugged and unplugged while there is no stored configuration")
struct DeviceTransferTests {
    typealias Domain = PluggedDomain

    static func take(
        _ saved: String, from before: String, to after: String, only kinds: DeviceTransfer.Kinds = .all
    ) throws -> DomainXML.TakenDevices {
        try DomainXML.takingDevices(saved, known: try DomainXML.devices(before), of: "vdb", from: after, only: kinds)
    }

    /// The devices of a domain, to compare.
    static func devices(_ xml: String) throws -> Set<String> {
        Set(try #require(try XMLTree(parsing: xml).first("devices")).children.map(\.canonicalText))
    }

    static func size(_ name: String, _ xml: String) throws -> String? { try XMLTree(parsing: xml).first(name)?.text }

    @Test("What varies while a guest runs makes no difference: the definition is the saved one, byte for byte")
    func unchanged() throws {
        let taken = try Self.take(Domain.stored(), from: Domain.live(), to: Domain.live(run: 3))
        #expect(taken == DomainXML.TakenDevices(xml: Domain.stored()))
        let all = Domain.devices
        #expect(try Self.take(Domain.stored(all), from: Domain.live(all), to: Domain.live(all, run: 1)).xml == Domain.stored(all))
    }

    @Test("A device has one name, running and stored", arguments: PluggedDomain.devices)
    func name(device: PluggedDomain.Device) throws {
        #expect(try XMLTree(parsing: device.live).deviceName == device.name)
        #expect(try XMLTree(parsing: device.stored).deviceName == device.name)
    }

    @Test("An attached device is stored as if it had been attached to both configurations", arguments: PluggedDomain.devices)
    func attached(device: PluggedDomain.Device) throws {
        let taken = try Self.take(Domain.stored(), from: Domain.live(), to: Domain.live([device], run: 1))
        #expect(try Self.devices(taken.xml) == Self.devices(Domain.stored([device])))
        #expect(taken.changes == ["attached \(device.name)"])
        #expect(taken.warnings == [])
    }

    @Test("A detached device is removed", arguments: PluggedDomain.devices)
    func detached(device: PluggedDomain.Device) throws {
        let taken = try Self.take(Domain.stored([device]), from: Domain.live([device]), to: Domain.live(run: 1))
        #expect(try Self.devices(taken.xml) == Self.devices(Domain.stored()))
        #expect(taken.changes == ["detached \(device.name)"])
        #expect(taken.warnings == [])
    }

    @Test("A device that only the running domain had is not stored, and one that is only stored stays")
    func untouched() throws {
        for device in Domain.devices {
            let live = Domain.live([device])
            #expect(try Self.take(Domain.stored(), from: live, to: live) == DomainXML.TakenDevices(xml: Domain.stored()))
            let saved = Domain.stored([device])
            #expect(try Self.take(saved, from: Domain.live(), to: Domain.live()) == DomainXML.TakenDevices(xml: saved))
            // Attached to both, one after the other.
            #expect(try Self.take(saved, from: Domain.live(), to: live) == DomainXML.TakenDevices(xml: saved))
        }
    }

    @Test("A disk comes with the controller that was plugged in for it")
    func diskOnController() throws {
        let plugged = [Domain.disk, Domain.controller]
        let taken = try Self.take(Domain.stored(), from: Domain.live(), to: Domain.live(plugged))
        #expect(try Self.devices(taken.xml) == Self.devices(Domain.stored(plugged)))
        let gone = try Self.take(taken.xml, from: Domain.live(plugged), to: Domain.live())
        #expect(try Self.devices(gone.xml) == Self.devices(Domain.stored()))
    }

    @Test("A user's alias is kept, libvirt's own is not")
    func alias() throws {
        let taken = try Self.take(Domain.stored(), from: Domain.live(), to: Domain.live([Domain.aliased, Domain.disk]))
        let disks = try #require(try XMLTree(parsing: taken.xml).first("devices")).all("disk")
        #expect(disks.compactMap { $0.first("alias")?.value("name") } == ["ua-scratch"])
    }

    @Test("An address that the stored configuration gave to another device is left to libvirt")
    func address() throws {
        let other = Domain.random.stored.replacing("/dev/urandom", with: "/dev/hwrng")
        let saved = Domain.stored().replacing("</devices>", with: "\(other)</devices>")
        let taken = try Self.take(saved, from: Domain.live(), to: Domain.live([Domain.random]))
        let added = try #require(try XMLTree(parsing: taken.xml).first("devices")?.all("rng").last)
        #expect(added.first("backend")?.text == "/dev/urandom" && added.first("address") == nil)
    }

    @Test("A device that was exchanged at its address is exchanged")
    func exchanged() throws {
        let after = Domain.live([Domain.random]).replacing("/dev/urandom", with: "/dev/hwrng")
        let taken = try Self.take(Domain.stored([Domain.random]), from: Domain.live([Domain.random]), to: after)
        #expect(taken.changes.count == 2)
        #expect(taken.xml.contains("/dev/hwrng") && !taken.xml.contains("/dev/urandom"))
    }

    @Test("A detached device that is stored at another address stays, with a warning")
    func unsure() throws {
        let saved = Domain.stored([Domain.random]).replacing("bus='0x05'", with: "bus='0x0b'")
        let taken = try Self.take(saved, from: Domain.live([Domain.random]), to: Domain.live())
        #expect(taken.xml == saved)
        #expect(taken.warnings.count == 1 && taken.warnings.first?.hasPrefix(Domain.random.name) == true)
    }

    @Test("The domain's memory counts its memory devices")
    func memory() throws {
        let more = Domain.live([Domain.module]).replacing(">4194304<", with: ">5242880<")
        let grown = try Self.take(Domain.stored(), from: Domain.live(), to: more)
        #expect(grown.warnings == [])
        #expect(try ["memory", "currentMemory"].map { try Self.size($0, grown.xml) } == ["5242880", "5242880"])
        let shrunk = try Self.take(grown.xml, from: more, to: Domain.live())
        #expect(try ["memory", "currentMemory"].map { try Self.size($0, shrunk.xml) } == ["4194304", "4194304"])
    }

    @Test("A balloon that was set is named in a warning, unless the stored configuration agrees")
    func balloon() throws {
        let balloon = "<currentMemory unit='KiB'>4194304<"
        let small = balloon.replacing("4194304", with: "2097152")
        let after = Domain.live().replacing(balloon, with: small)
        let taken = try Self.take(Domain.stored(), from: Domain.live(), to: after)
        #expect(taken.xml == Domain.stored())
        #expect(taken.warnings.count == 1 && taken.warnings.first?.contains("from 4194304 to 2097152 KiB") == true)
        // The guest was still booting.
        let agreed = Domain.stored().replacing(balloon, with: small)
        #expect(try Self.take(agreed, from: Domain.live(), to: after) == DomainXML.TakenDevices(xml: agreed))
    }

    @Test("Processors that were plugged in are stored, unless the stored configuration differed or counts them one by one")
    func processors() throws {
        let after = Domain.live().replacing("current='2'", with: "current='3'")
        let taken = try Self.take(Domain.stored(), from: Domain.live(), to: after)
        #expect(try XMLTree(parsing: taken.xml).first("vcpu")?.value("current") == "3")
        #expect(taken.changes == ["changed vcpus to 3 of 4"] && taken.warnings == [])
        let all = try Self.take(Domain.stored(), from: Domain.live(), to: Domain.live().replacing(" current='2'", with: ""))
        #expect(try XMLTree(parsing: all.xml).first("vcpu")?.value("current") == nil)
        let list = "<vcpus><vcpu id='0' enabled='yes' hotpluggable='no'/></vcpus><devices>"
        for saved in [
            Domain.stored().replacing("current='2'", with: "current='1'"), Domain.stored().replacing("<devices>", with: list),
        ] {
            let kept = try Self.take(saved, from: Domain.live(), to: after)
            #expect(kept.xml == saved && kept.warnings.count == 1 && kept.warnings.first?.contains("vcpus") == true)
        }
    }

    @Test("Consoles and other devices are not taken over, but named in a warning")
    func consoles() throws {
        let console = "<console type='pty' tty='/dev/pts/9'><target type='virtio' port='1'/></console></devices>"
        let after = Domain.live().replacing("</devices>", with: console)
        let taken = try Self.take(Domain.stored(), from: Domain.live(), to: after)
        #expect(taken.xml == Domain.stored())
        #expect(taken.warnings.count == 1 && taken.warnings.first?.contains("console devices went from 1 to 2") == true)
        #expect(try Self.take(Domain.stored(), from: after, to: Domain.live()).warnings.count == 1)
    }

    @Test("What an earlier version recorded says nothing about other devices than disks and interfaces")
    func earlierVersion() throws {
        let plugged = [Domain.aliased, Domain.interface, Domain.random, Domain.module]
        let taken = try DomainXML.takingDevices(Domain.stored(), known: ["disk vdb"], of: "vdb", from: Domain.live(plugged))
        #expect(taken.changes == ["attached \(Domain.aliased.name)", "attached \(Domain.interface.name)"])
        #expect(taken.warnings == [])
    }

    @Test("Only some kinds can be taken")
    func kinds() throws {
        let plugged = Domain.live([Domain.aliased, Domain.random])
        let some = try Self.take(Domain.stored(), from: Domain.live(), to: plugged, only: .disksAndInterfaces)
        #expect(some.changes == ["attached disk vdc"])
        #expect(
            try Self.take(Domain.stored(), from: Domain.live(), to: plugged, only: .detachedDisksAndInterfaces).xml
                == Domain.stored())
    }
}
