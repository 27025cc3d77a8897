import Testing

@testable import VolumeSwap

@Suite("Parsing a domain")
struct DomainDescriptionTests {
    static func disk(_ inner: String, type: String = "file", device: String = "disk") throws -> DiskDescription? {
        try DomainDescription(
            xml: """
                <domain><name>a</name><uuid>3C9D8A4E-6D5D-4B35-9B0C-1F0C6F1A0099</uuid><devices>
                <disk type='\(type)' device='\(device)'>\(inner)<target dev='vdb' bus='virtio'/></disk></devices></domain>
                """
        ).disk("vdb")
    }

    @Test("Name, UUID in lower case, disks, vTPM")
    func domain() throws {
        let description = try DomainDescription(xml: StoredDomain.xml)
        #expect(description.name == "instance-0000002a")
        #expect(description.uuid == Fixture.uuid)
        #expect(description.disks.map(\.target) == ["vda", "vdb"])
        #expect(description.disk("vdb")?.serial == "old-volume")
        #expect(description.disk("vdc") == nil)
        #expect(description.hasTPM)
        #expect(try !DomainDescription(xml: Fixture.domainXML(source: "/a")).hasTPM)
    }

    @Test("LUNs passed through, by initiator and by adapter; other devices and forms are left out")
    func passedThrough() throws {
        let sources = [
            "type='scsi'><source protocol='iscsi' name='iqn.a:b/1'><host name='h' port='3260'/></source>",
            "type='scsi'><source><adapter name='scsi_host12'/><address bus='0' target='3' unit='1'/></source>",
            "type='scsi'><source><adapter name='vendor'/><address bus='0' target='3' unit='1'/></source>",
            "type='scsi'><source><adapter name='scsi_host1'/><address bus='0' unit='1'/></source>",
            "type='pci'><source><address domain='0' bus='0' slot='1' function='0'/></source>",
        ]
        let devices = sources.map { "<hostdev mode='subsystem' \($0)</hostdev>" }.joined()
        let description = try DomainDescription(xml: Fixture.domainXML(source: "/a", extra: devices))
        let network = NetworkLocation(transport: "iscsi", name: "iqn.a:b/1", hosts: [.init(name: "h", port: 3260)])
        #expect(
            description.passedThrough == [.network(network), .host(SCSIAddress(host: 12, bus: 0, target: 3, unit: 1))])
        #expect(description.disks.map(\.target) == ["vdb"])
    }

    @Test("A mirror", arguments: [nil, "yes", "abort", "pivot"])
    func mirror(ready: String?) throws {
        let attribute = ready.map { " ready='\($0)'" } ?? ""
        let disk = try Self.disk(
            """
            <source file='/a'/><mirror type='block' job='copy'\(attribute)><format type='raw'/><source dev='/dev/b'/></mirror>
            """)
        #expect(disk?.mirror == .init(job: "copy", ready: ready, location: .block("/dev/b"), format: "raw"))
        #expect(try Self.disk("<source file='/a'/>")?.mirror == nil)
    }

    @Test("Encryption beside and inside the source", arguments: [true, false])
    func encryption(inside: Bool) throws {
        let element = "<encryption format='luks'><secret type='passphrase' uuid='ABC'/></encryption>"
        let disk = try Self.disk(inside ? "<source file='/a'>\(element)</source>" : "<source file='/a'/>\(element)")
        #expect(disk?.isEncrypted == true)
        #expect(disk?.secretUUIDs == ["abc"])
    }

    @Test("Slices, sharing, devices")
    func flags() throws {
        let sliced = try Self.disk(
            "<source file='/a'><slices><slice type='storage' offset='0' size='1'/></slices></source><shareable/>")
        #expect(sliced?.hasSlices == true && sliced?.isShareable == true)
        #expect(try Self.disk("<source file='/a'/>", device: "cdrom")?.device == "cdrom")
        #expect(try Self.disk("", device: "cdrom")?.location == nil)
    }

    @Test("Kinds of source")
    func locations() throws {
        #expect(try Self.disk("<source dev='/dev/b'/>", type: "block")?.location == .block("/dev/b"))
        guard case .other = try Self.disk("<source pool='p' volume='v'/>", type: "volume")?.location else {
            Issue.record("a pool's volume is a place of its own")
            return
        }
        let socket = try Self.disk("<source protocol='nbd'><host transport='unix' socket='/s'/></source>", type: "network")
        #expect(socket?.location == .network(NetworkLocation(transport: "nbd", name: "", hosts: [.init(name: "/s", port: nil)])))
    }

    @Test("Kept elements do not depend on order, blanks or generated values")
    func keptElements() throws {
        let one = try Self.disk(
            "<driver name='qemu' type='raw' cache='none'/><source file='/a'/><serial>s</serial><alias name='virtio-disk1'/>")
        let other = try Self.disk(
            """
            <serial> s\t
            </serial>
            <mirror type='file' job='copy'><source file='/c'/></mirror>
            <driver cache='none' name='qemu' type='qcow2'/><source file='/b' index='2'/><backingStore/>
            """)
        #expect(one?.keptElements == other?.keptElements)
    }

    @Test(
        "Kept elements show each loss",
        arguments: [
            "<serial>x</serial>", "<iotune><total_iops_sec>1</total_iops_sec></iotune>", "<readonly/>", "<boot order='2'/>",
            "<alias name='ua-mine'/>", "<address type='pci' slot='0x01'/>", "<driver name='qemu' cache='none'/>", "<shareable/>",
        ])
    func loss(element: String) throws {
        #expect(try Self.disk("<source file='/a'/>\(element)")?.keptElements != Self.disk("<source file='/a'/>")?.keptElements)
    }
}
