import JSON
import Testing

@testable import VolumeSwap

@Suite("InUseCheck")
struct InUseCheckTests {
    static let iqn = "iqn.2010-10.org.openstack:volume-1"

    static func check(
        _ hypervisor: FakeHypervisor, _ destination: VolumeLocation = .file(Fixture.newPath), _ arguments: JSONObject = [:]
    ) async throws -> [String] {
        let request = try SwapRequest(args: Fixture.arguments(arguments), defaults: SwapOptions())
        let plan = Fixture.plan(destination: VolumeSource(location: destination, format: "raw"))
        return try await InUseCheck(hypervisor: hypervisor, request: request, strays: StrayGuests()).check(plan)
    }

    static func failure(_ hypervisor: FakeHypervisor, _ destination: VolumeLocation = .file(Fixture.newPath)) async
        -> SwapFailure?
    {
        do {
            _ = try await check(hypervisor, destination)
            return nil
        } catch {
            return error as? SwapFailure
        }
    }

    struct Alias: Sendable, CustomTestStringConvertible {
        var name: String
        var destination: VolumeLocation
        /// The other domain's disk.
        var type: String
        var inner: String
        var isInUse = true
        var testDescription: String { name }
    }

    static func network(_ transport: String, _ name: String, _ host: String, _ port: Int) -> VolumeLocation {
        .network(NetworkLocation(transport: transport, name: name, hosts: [.init(name: host, port: port)]))
    }

    static let aliases: [Alias] = [
        Alias(
            name: "rbd by other monitors", destination: network("rbd", "p/i", "a", 6789), type: "network",
            inner: "<source protocol='rbd' name='p/i'><host name='b' port='3300'/></source>"),
        Alias(
            name: "another image", destination: network("rbd", "p/i", "a", 6789), type: "network",
            inner: "<source protocol='rbd' name='p/j'><host name='a' port='6789'/></source>", isInUse: false),
        Alias(
            name: "a mapped image", destination: network("rbd", "p/i", "a", 6789), type: "block",
            inner: "<source dev='/dev/rbd0'/>"),
        Alias(
            name: "a mapped image by udev's name", destination: network("rbd", "p/i", "a", 6789), type: "block",
            inner: "<source dev='/dev/rbd/p/i'/>"),
        Alias(
            name: "iSCSI by another portal", destination: network("iscsi", "\(iqn)/1", "a", 3260), type: "network",
            inner: "<source protocol='iscsi' name='\(iqn)/1'><host name='b' port='3261'/></source>"),
        Alias(
            name: "another LUN", destination: network("iscsi", "\(iqn)/1", "a", 3260), type: "network",
            inner: "<source protocol='iscsi' name='\(iqn)/2'><host name='a' port='3260'/></source>", isInUse: false),
        Alias(
            name: "a host-attached LUN against the initiator's", destination: network("iscsi", "\(iqn)/1", "a", 3260),
            type: "block",
            inner: "<source dev='/dev/dm-4'/>"),
        Alias(
            name: "the initiator's LUN against a host-attached one", destination: .block("/dev/dm-4"), type: "network",
            inner: "<source protocol='iscsi' name='\(iqn)/1'><host name='b' port='3261'/></source>"),
        Alias(
            name: "nbd on 127.1", destination: network("nbd", "vol", "127.0.0.1", 10810), type: "network",
            inner: "<source protocol='nbd' name='vol'><host name='127.1' port='10810'/></source>"),
        Alias(
            name: "nbd by a name that resolves", destination: network("nbd", "vol", "10.0.0.5", 10810), type: "network",
            inner: "<source protocol='nbd' name='vol'><host name='storage' port='10810'/></source>"),
        Alias(
            name: "nbd on another port", destination: network("nbd", "vol", "127.0.0.1", 10810), type: "network",
            inner: "<source protocol='nbd' name='vol'><host name='127.0.0.1' port='10811'/></source>", isInUse: false),
        Alias(name: "a hard link", destination: .file(Fixture.newPath), type: "file", inner: "<source file='/volumes/link'/>"),
        Alias(name: "a device by number", destination: .block("/dev/dm-4"), type: "block", inner: "<source dev='/tmp/node'/>"),
        Alias(
            name: "a loop device over the file", destination: .file(Fixture.newPath), type: "block",
            inner: "<source dev='/dev/loop9'/>"),
        Alias(
            name: "a file below another's", destination: .file(Fixture.newPath), type: "file",
            inner: """
                <source file='/volumes/top'/><backingStore type='file'><source file='/volumes/mid'/>\
                <backingStore type='file'><source file='\(Fixture.newPath)'/></backingStore></backingStore>
                """),
        Alias(
            name: "a LUN's other path", destination: .block("/dev/sdc"), type: "block", inner: "<source dev='/dev/sdb'/>"),
        Alias(
            name: "another device", destination: .block("/dev/sdd"), type: "block",
            inner: "<source dev='/dev/sdb'/>", isInUse: false),
        Alias(
            name: "another's copy onto it", destination: .file(Fixture.newPath), type: "file",
            inner: "<source file='/volumes/z'/><mirror type='file' job='copy'><source file='\(Fixture.newPath)'/></mirror>"),
        Alias(
            name: "a serial that is its id", destination: network("rbd", "p/i", "a", 6789), type: "block",
            inner: "<source dev='/dev/sdx'/><serial>new-volume</serial>"),
        Alias(
            name: "another serial", destination: network("rbd", "p/i", "a", 6789), type: "block",
            inner: "<source dev='/dev/sdx'/><serial>new-volume-2</serial>", isInUse: false),
    ]

    static func host() -> FakeHypervisor {
        let hypervisor = FakeHypervisor()
        hypervisor.set("/dev/rbd0", kind: .block, device: 1)
        hypervisor.describe("/dev/rbd0") { $0.rbdImage = "p/i" }
        hypervisor.set("/dev/dm-4", kind: .block, device: 4)
        hypervisor.describe("/dev/dm-4") { $0.links = ["/dev/disk/by-path/ip-10.0.0.1:3260-iscsi-\(iqn)-lun-1"] }
        hypervisor.set("/tmp/node", kind: .block, device: 4)
        for (path, device) in [("/dev/sdb", 16), ("/dev/sdc", 32), ("/dev/sdd", 48)] as [(String, UInt64)] {
            hypervisor.set(path, kind: .block, device: device)
            hypervisor.describe(path) { $0.wwids = [path == "/dev/sdd" ? "naa.6001405b" : "naa.6001405a"] }
        }
        hypervisor.set("/dev/loop9", kind: .block, device: 9)
        hypervisor.describe("/dev/loop9") { $0.loopFile = Fixture.newPath }
        hypervisor.set("/volumes/link")
        for path in ["/volumes/link", Fixture.newPath] { hypervisor.describe(path) { $0.fileID = .init(device: 1, inode: 5) } }
        hypervisor.change { $0.addresses = ["storage": ["10.0.0.5"], "10.0.0.5": ["10.0.0.5"]] }
        return hypervisor
    }

    @Test("A volume under another name is in use, running or only stored", arguments: aliases, [true, false])
    func alias(alias: Alias, isLive: Bool) async {
        let hypervisor = Self.host()
        hypervisor.addDomain("vm-2", type: alias.type, alias.inner, target: "vdc", isLive: isLive)
        let failure = await Self.failure(hypervisor, alias.destination)
        #expect((failure != nil) == alias.isInUse)
        guard let failure else { return }
        #expect(failure.code == .newVolumeInUse)
        #expect(failure.reason.contains("disk vdc of vm-2"))
        #expect(failure.reason.contains("stored configuration") == !isLive)
    }

    @Test("A device without udev's links is the LUN that connection_info names")
    func namedByConnection() async throws {
        let hypervisor = FakeHypervisor()
        hypervisor.set("/dev/sdx", kind: .block)
        hypervisor.addDomain(
            "vm-2", type: "network", "<source protocol='iscsi' name='\(Self.iqn)/1'><host name='b' port='3260'/></source>")
        for lun: JSONValue in [1, 2] {
            let data: JSONObject = ["target_portal": "b:3260", "target_iqn": .string(Self.iqn), "target_lun": lun]
            let new = Fixture.connection("/dev/sdx", data, serial: "new-volume", type: "iscsi")
            do {
                _ = try await Self.check(hypervisor, .block("/dev/sdx"), ["new_connection_info": new])
                #expect(lun == 2)
            } catch let failure as SwapFailure {
                #expect(lun == 1 && failure.code == .newVolumeInUse)
            }
        }
    }

    static let initiator = " protocol='iscsi' name='\(iqn)/1'><host name='b' port='3260'/>"
    static let adapter = "><adapter name='scsi_host2'/><address bus='0' target='0' unit='1'/>"

    @Test(
        "A LUN that another guest has passed through is in use, running or only stored", arguments: [initiator, adapter],
        [VolumeLocation.block("/dev/dm-4"), network("iscsi", "\(iqn)/1", "a", 3260)])
    func passedThrough(source: String, destination: VolumeLocation) async throws {
        for isLive in [true, false] {
            let hypervisor = Self.host()
            hypervisor.addDomain(passingThrough: source, isLive: isLive)
            hypervisor.change { $0.scsiDisks = ["2:0:0:1": "/tmp/node"] }
            hypervisor.describe("/tmp/node") { $0.links = ["/dev/disk/by-path/ip-10.0.0.1:3260-iscsi-\(Self.iqn)-lun-1"] }
            let failure = await Self.failure(hypervisor, destination)
            #expect(failure?.code == .newVolumeInUse)
            #expect(failure?.reason.contains("is in use as the SCSI device") == true)
            #expect(failure?.reason.contains("of vm-2") == true)
            #expect(try await Self.check(hypervisor, .block("/dev/sdd")) == [])
        }
    }

    @Test("A LUN whose disk the host does not tell counts as another volume, with a warning; one that is not there does not")
    func unknownLUN() async throws {
        let hypervisor = FakeHypervisor()
        hypervisor.addDomain(passingThrough: Self.adapter)
        #expect(try await Self.check(hypervisor) == [])
        hypervisor.change { $0.scsiDisks = ["2:0:0:1": nil] }
        let warnings = try await Self.check(hypervisor)
        #expect(warnings == ["the SCSI device 2:0:0:1 of vm-2 was assumed to be another volume: sysfs cannot be read"])
    }

    @Test("The moved disk does not count, live or stored; another disk of its domain does")
    func ownDisk() async throws {
        let hypervisor = FakeHypervisor()
        hypervisor.change { $0.liveSource = Fixture.newPath }
        #expect(try await Self.check(hypervisor) == [])
        let other = Fixture.domainXML(source: "/volumes/old").replacing("vdb", with: "vdc").replacing(
            Fixture.oldPath, with: Fixture.newPath)
        let description = try DomainDescription(xml: other)
        hypervisor.change { $0.others = [description] }
        #expect(await Self.failure(hypervisor)?.reason.contains("disk vdc of \(Fixture.domain.name)") == true)
    }

    @Test("Another disk of the same guest is another writer of a shareable volume; the same disk in its stored form is not")
    func twoDisksOfOneGuest() async throws {
        let hypervisor = FakeHypervisor()
        hypervisor.change { $0.besideSource = "<shareable/>" }
        var stored = try DomainDescription(xml: Fixture.domainXML(source: Fixture.oldPath))
        stored.isLive = false
        hypervisor.change { [stored] in $0.others = [stored] }
        #expect(try await Self.check(hypervisor) == [])
        let second = try DomainDescription(xml: Fixture.domainXML(source: Fixture.oldPath, target: "vdc"))
        hypervisor.change { $0.others.append(second) }
        let failure = await Self.failure(hypervisor)
        #expect(failure?.code == .multiattach)
        #expect(failure?.reason.contains("is also attached to the same guest, as disk vdc:") == true)
    }

    @Test("An nbd server without a known address: refused as a destination, a warning for another guest's disk")
    func unknownAddress() async throws {
        let hypervisor = FakeHypervisor()
        hypervisor.change { $0.addresses = ["nobody": []] }
        let failure = await Self.failure(hypervisor, Self.network("nbd", "x", "nobody", 1))
        #expect(failure?.code == .ioError && failure?.reason.contains("the addresses of nobody are not known") == true)
        hypervisor.addDomain(
            "vm-2", type: "network", "<source protocol='nbd' name='x'><host name='nobody' port='1'/></source>", target: "vdc")
        let warnings = try await Self.check(hypervisor, Self.network("nbd", "x", "10.0.0.1", 1))
        #expect(warnings.count == 1 && warnings.first?.contains("disk vdc of vm-2") == true)
    }

    @Test("Another guest's path that hangs or fails counts as another volume, with a warning", arguments: ["hung", "broken"])
    func foreignTrouble(kind: String) async throws {
        let hypervisor = FakeHypervisor()
        hypervisor.addDomain("vm-2", "<source file='/mnt/dead/disk'/>")
        hypervisor.change { state in
            if kind == "hung" { state.hungPaths = ["/mnt/dead/disk"] } else { state.brokenPaths = ["/mnt/dead/disk": "EIO"] }
        }
        let warnings = try await Self.check(hypervisor)
        #expect(warnings.count == 1)
        #expect(warnings.first?.contains("/mnt/dead/disk, which is disk vdb of vm-2") == true)
    }

    @Test("A file that a loop device of the host is on, by whatever name", arguments: [Fixture.newPath, "/volumes/link"])
    func hostFile(path: String) async throws {
        let hypervisor = Self.host()
        hypervisor.set("/volumes/another")
        hypervisor.change { $0.filesInUse = [HostFile(path: "/volumes/another", user: "the loop device /dev/loop1")] }
        #expect(try await Self.check(hypervisor) == [])
        hypervisor.change { $0.filesInUse.append(HostFile(path: path, user: "the loop device /dev/loop9")) }
        let failure = await Self.failure(hypervisor)
        #expect(failure?.code == .newVolumeInUse && failure?.reason.contains("the loop device /dev/loop9 is on it") == true)
        // A guest's loop device is that guest's disk.
        hypervisor.addDomain("vm-2", type: "block", "<source dev='/dev/loop9'/>", target: "vdc")
        #expect(await Self.failure(hypervisor)?.reason.contains("disk vdc of vm-2") == true)
    }

    @Test("A file of the host that does not answer counts as another volume, with a warning")
    func hungHostFile() async throws {
        let hypervisor = FakeHypervisor()
        hypervisor.change { state in
            state.filesInUse = [HostFile(path: "/mnt/dead/image", user: "the loop device /dev/loop9")]
            state.hungPaths = ["/mnt/dead/image"]
        }
        let warnings = try await Self.check(hypervisor)
        #expect(warnings.count == 1)
        #expect(warnings.first?.contains("/mnt/dead/image, which the loop device /dev/loop9 is on") == true)
    }

    @Test("An rbd image that the host has mapped")
    func mappedImage() async throws {
        let hypervisor = Self.host()
        hypervisor.set("/dev/rbd1", kind: .block, device: 2)
        hypervisor.change { $0.hostDevices = ["rbd": ["/dev/rbd1", "/dev/rbd0"]] }
        let failure = await Self.failure(hypervisor, Self.network("rbd", "p/i", "a", 6789))
        #expect(failure?.code == .newVolumeInUse)
        #expect(failure?.reason.hasSuffix("is in use by the host itself, as /dev/rbd0") == true)
        #expect(try await Self.check(hypervisor, Self.network("rbd", "p/j", "a", 6789)) == [])
        hypervisor.change { $0.hungPaths = ["/dev/rbd1"] }
        let warnings = try await Self.check(hypervisor, Self.network("rbd", "p/j", "a", 6789))
        #expect(warnings == ["/dev/rbd1, which the host has, was assumed to be another volume: /dev/rbd1 does not answer"])
    }

    @Test("A LUN that the host is logged in to and has mounted; logged in alone is no use", arguments: [true, false])
    func mountedLUN(isHeld: Bool) async throws {
        let hypervisor = FakeHypervisor()
        let devices = (1...2).map { "/dev/disk/by-path/ip-10.0.0.1:3260-iscsi-\(Self.iqn)-lun-\($0)" }
        hypervisor.change { state in
            state.hostDevices = ["iscsi": devices]
            state.heldPaths = isHeld ? Set(devices) : []
        }
        let failure = await Self.failure(hypervisor, Self.network("iscsi", "\(Self.iqn)/1", "a", 3260))
        #expect(failure?.code == (isHeld ? .newVolumeInUse : nil))
        #expect(try await Self.check(hypervisor, Self.network("iscsi", "\(Self.iqn)/3", "a", 3260)) == [])
        #expect(hypervisor.touches.isEmpty, "udev's names say it")
    }

    @Test("What is below a stopped domain's image, by whatever name", arguments: [Fixture.newPath, "/volumes/link", "link"])
    func stoppedOverlay(name: String) async throws {
        let hypervisor = Self.host()
        let image = "<driver name='qemu' type='qcow2'/><source file='/volumes/top'/>"
        hypervisor.addDomain("vm-2", image, target: "vdc", isLive: false)
        #expect(try await Self.check(hypervisor) == [])
        hypervisor.change { $0.backingFiles = ["/volumes/top": .found(BackingFile(name: name, format: "raw"))] }
        let failure = await Self.failure(hypervisor)
        #expect(failure?.code == .newVolumeInUse && failure?.reason.contains("disk vdc of vm-2") == true)
        hypervisor.change { $0.backingFiles = ["/volumes/top": .failed("cannot read /volumes/top: EIO")] }
        let warnings = try await Self.check(hypervisor)
        #expect(warnings.count == 1)
        #expect(warnings.first?.contains("what is below /volumes/top, which is disk vdc of vm-2") == true)
    }

    @Test("A hanging path with the same name is in use")
    func hungButSame() async {
        let hypervisor = FakeHypervisor()
        hypervisor.addDomain("vm-2", "<source file='/mnt/dead/disk'/>")
        hypervisor.set("/volumes/link", canonical: "/mnt/dead/disk")
        hypervisor.change { $0.hungPaths = ["/mnt/dead/disk"] }
        #expect(await Self.failure(hypervisor, .file("/volumes/link"))?.code == .newVolumeInUse)
    }

    @Test("The new volume itself must answer, since its name alone does not identify it")
    func ownTrouble() async {
        let hypervisor = FakeHypervisor()
        hypervisor.change { $0.hungPaths = [Fixture.newPath] }
        #expect(await Self.failure(hypervisor)?.code == .ioError)
    }

    @Test("On a host with a hundred domains, what cannot be the volume is not examined")
    func looks() async throws {
        let hypervisor = FakeHypervisor()
        for number in 0..<100 {
            hypervisor.addDomain("vm-\(number)", "<source file='/var/lib/nova/mnt/share/\(number)'/>")
            hypervisor.addDomain("vm-\(number)", "<source file='/var/lib/nova/mnt/share/\(number)'/>", isLive: false)
        }
        #expect(try await Self.check(hypervisor, Self.network("rbd", "p/i", "a", 6789)) == [])
        #expect(hypervisor.touches.isEmpty)
        #expect(try await Self.check(hypervisor, .block("/dev/dm-4")) == [])
        #expect(hypervisor.touches == ["look /dev/dm-4"])
        hypervisor.change { $0.touches = [] }
        #expect(try await Self.check(hypervisor) == [])
        // One look at the new volume and one at each place, not two for a domain that is both running and stored.
        #expect(hypervisor.touches.count == 101)
    }

    @Test("A hanging domain's check is the caller's to retry")
    func passing() async {
        let hypervisor = FakeHypervisor()
        hypervisor.fail(.domains, .init(error: HypervisorError(.busy, number: 68, "cannot acquire state change lock")))
        await #expect(throws: HypervisorError.self) { try await Self.check(hypervisor) }
    }
}
