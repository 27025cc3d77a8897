import Testing

@testable import VolumeSwap

@Suite("VolumeIdentity")
struct VolumeIdentityTests {
    static func network(_ transport: String, _ name: String, _ host: String? = nil, _ port: Int? = nil) -> VolumeLocation {
        .network(NetworkLocation(transport: transport, name: name, hosts: host.map { [.init(name: $0, port: port)] } ?? []))
    }

    static func place(_ path: String, _ kind: PathDescription.Kind = .block, _ change: (inout PathDescription) -> Void = { _ in })
        -> VolumeIdentity
    {
        var place = PathDescription(kind: kind, bytes: 1, canonicalPath: path, names: [path], deviceNumber: nil)
        change(&place)
        return VolumeIdentity(place: place)
    }

    static let iqn = "iqn.2010-10.org.openstack:volume-1"
    static let byPath = "/dev/disk/by-path/ip-10.0.0.21:3260-iscsi-\(iqn)-lun-"

    @Test(
        "Names from strings alone",
        arguments: [
            (network("rbd", "p/i", "a", 6789), network("rbd", "p/i", "b", 3300), true),
            (network("rbd", "p/i"), network("rbd", "p/j"), false),
            (network("rbd", "p/n/i"), .block("/dev/rbd/p/n/i"), true),
            (network("rbd", "p/i"), .block("/dev/rbd/p/j"), false),
            (network("iscsi", "iqn.A:b/1", "h", 3260), network("iscsi", "iqn.a:b/1", "i", 3261), true),
            (network("iscsi", "iqn.a:b"), network("iscsi", "iqn.a:b/0"), true),
            (network("iscsi", "iqn.a:b/1"), network("iscsi", "iqn.a:b/11"), false),
            (network("iscsi", "\(iqn)/1"), .block("\(byPath)1"), true),
            (network("iscsi", "\(iqn)/1"), .block("\(byPath)1-part2"), true),
            (network("iscsi", "\(iqn)/257"), .block("\(byPath)0x4101000000000000"), true),
            (network("iscsi", "\(iqn)/1"), .block("\(byPath)2"), false),
            (network("nbd", "x", "localhost"), network("nbd", "x", "::1", 10809), true),
            (network("nbd", "x", "127.1"), network("nbd", "x", "127.0.0.1"), true),
            (network("nbd", "x", "h"), network("nbd", "x", "H"), true),
            (network("nbd", "x", "h", 1), network("nbd", "x", "h", 2), false),
            (network("nbd", "x", "h"), network("nbd", "y", "h"), false),
            (.file("/a"), .block("/a"), true), (.file("/a"), .file("/b"), false),
            (.file("/caf\u{e9}"), .file("/cafe\u{301}"), false),
            (.other("volume source"), .other("volume source"), false),
        ])
    func texts(one: VolumeLocation, other: VolumeLocation, same: Bool) {
        #expect(VolumeIdentity(text: one).meets(VolumeIdentity(text: other)) == same)
    }

    @Test("Names from the host: device number, WWID, inode, mapped image, udev's links, the file behind a loop device")
    func host() {
        let device = Self.place("/dev/sdb") { $0.deviceNumber = 7 }
        #expect(device.meets(Self.place("/dev/other") { $0.deviceNumber = 7 }))
        #expect(!device.meets(Self.place("/dev/other") { $0.deviceNumber = 8 }))

        let lun = Self.place("/dev/sdb") { $0.wwids = ["naa.6001405a"] }
        #expect(lun.meets(Self.place("/dev/sdc") { $0.wwids = ["eui.2", "naa.6001405a"] }))
        #expect(!lun.meets(Self.place("/dev/sdc") { $0.wwids = ["naa.6001405b"] }))
        #expect(!lun.meets(VolumeIdentity(ids: ["naa.6001405a"])))

        let file = Self.place("/a", .file) { $0.fileID = .init(device: 1, inode: 2) }
        #expect(file.meets(Self.place("/b", .file) { $0.fileID = .init(device: 1, inode: 2) }))
        #expect(!file.meets(Self.place("/b", .file) { $0.fileID = .init(device: 2, inode: 2) }))

        let mapped = Self.place("/dev/rbd0") { $0.rbdImage = "volumes/v1" }
        #expect(mapped.meets(VolumeIdentity(text: Self.network("rbd", "volumes/v1", "monitor"))))

        let attached = Self.place("/dev/dm-4") { $0.links = ["\(Self.byPath)1"] }
        #expect(attached.meets(VolumeIdentity(text: Self.network("iscsi", "\(Self.iqn)/1", "elsewhere"))))
        #expect(!attached.meets(VolumeIdentity(text: Self.network("iscsi", "\(Self.iqn)/2"))))

        let loop = Self.place("/dev/loop7") { $0.loopFile = "/images/v1" }
        #expect(loop.meets(VolumeIdentity(text: .file("/images/v1"))))
    }

    @Test("Ids are case-insensitive and are not paths")
    func ids() {
        #expect(VolumeIdentity(ids: ["ABC", ""]).meets(VolumeIdentity(ids: ["abc"])))
        #expect(!VolumeIdentity(ids: ["", "/a"]).meets(VolumeIdentity(ids: [""]).union(VolumeIdentity(text: .file("/a")))))
    }

    @Test("An nbd server has every name of its host; one that does not resolve keeps its own")
    func resolved() async {
        let hypervisor = FakeHypervisor()
        hypervisor.change { $0.addresses = ["storage": ["10.0.0.5"], "10.0.0.5": ["10.0.0.5"], "me": ["loopback"]] }
        let identifier = VolumeIdentifier(hypervisor: hypervisor)
        let storage = await identifier.identity(of: Self.network("nbd", "x", "storage", 1)).identity
        #expect(await storage.meets(identifier.identity(of: Self.network("nbd", "x", "10.0.0.5", 1)).identity))
        #expect(await !storage.meets(identifier.identity(of: Self.network("nbd", "x", "nobody", 1)).identity))
        hypervisor.change { $0.addresses["nobody"] = [] }
        let unknown = await identifier.identity(of: Self.network("nbd", "x", "nobody", 1))
        #expect(unknown.trouble == "the addresses of nobody are not known")
        let own = await identifier.identity(of: Self.network("nbd", "x", "me", 1)).identity
        #expect(await own.meets(identifier.identity(of: Self.network("nbd", "x", "127.0.0.1", 1)).identity))
        let nobody = await identifier.identity(of: Self.network("nbd", "x", "nobody", 1)).identity
        #expect(await nobody.meets(identifier.identity(of: Self.network("nbd", "x", "nobody", 1)).identity))
    }

    @Test("The file behind a loop device by its inode; one that does not answer keeps its name, with a warning")
    func behindLoop() async {
        let hypervisor = FakeHypervisor()
        hypervisor.set("/dev/loop7", kind: .block, device: 7)
        hypervisor.describe("/dev/loop7") { $0.loopFile = "/bound/v1" }
        for path in ["/bound/v1", "/images/v1"] {
            hypervisor.set(path)
            hypervisor.describe(path) { $0.fileID = .init(device: 1, inode: 2) }
        }
        let identifier = VolumeIdentifier(hypervisor: hypervisor)
        let file = await identifier.identity(of: .file("/images/v1")).identity
        let loop = await identifier.identity(of: .block("/dev/loop7"))
        #expect(loop.identity.meets(file) && loop.trouble == nil)
        hypervisor.change { $0.hungPaths = ["/bound/v1"] }
        let hung = await identifier.identity(of: .block("/dev/loop7"))
        #expect(!hung.identity.meets(file) && hung.identity.meets(VolumeIdentity(text: .file("/bound/v1"))))
        #expect(hung.trouble == "/bound/v1 does not answer")
    }

    @Test("A path that does not answer keeps its own name, with a warning")
    func hung() async {
        let hypervisor = FakeHypervisor()
        hypervisor.change { $0.hungPaths = ["/dead"] }
        let answer = await VolumeIdentifier(hypervisor: hypervisor).identity(of: .file("/dead"))
        #expect(answer.trouble?.contains("/dead") == true)
        #expect(answer.identity.meets(VolumeIdentity(text: .file("/dead"))))
    }
}
