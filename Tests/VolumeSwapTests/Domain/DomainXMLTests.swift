import Foundation
import FoundationXML
import Testing

@testable import VolumeSwap

@Suite("Generated XML")
struct DomainXMLTests {
    static let ceph = SecretReference(type: "ceph", uuid: "457eb676-33da-42ec-9a8c-9293d545c337")

    /// The destination, parsed like a disk shown by libvirt.
    static func readBack(_ xml: String) throws -> XMLTree { try XMLTree(parsing: xml) }

    static let locations: [VolumeLocation] = [
        .file("/volumes/new"), .block("/dev/vg/lv"),
        .network(
            NetworkLocation(
                transport: "rbd", name: "p/i", hosts: [.init(name: "fd00::1", port: 6789), .init(name: "b", port: nil)])),
        .network(NetworkLocation(transport: "iscsi", name: "iqn.a:b/1", hosts: [.init(name: "10.0.0.1", port: 3260)])),
        .network(NetworkLocation(transport: "nbd", name: "disk", hosts: [.init(name: "::1", port: 10809)])),
        .network(NetworkLocation(transport: "nbd", name: "", hosts: [.init(name: "h", port: 1)])),
    ]

    @Test("A destination reads back as written", arguments: locations, ["raw", "qcow2"])
    func destination(location: VolumeLocation, format: String) throws {
        let disk = try Self.readBack(try DomainXML.destination(VolumeSource(location: location, format: format)))
        #expect(disk.name == "disk")
        let source = try #require(disk.first("source"))
        #expect(VolumeLocation(type: disk.value("type") ?? "", source: source) == location)
        #expect(disk.first("driver")?.value("type") == format)
        #expect(source.first("slices") == nil)
        #expect(source.first("auth") == nil)
    }

    @Test("Slice, authentication and encryption")
    func everything() throws {
        let source = VolumeSource(
            location: Self.locations[2], format: "raw", auth: .init(username: "cinder", secret: Self.ceph),
            encryption: SecretReference(type: "passphrase", uuid: "u-1"))
        let disk = try Self.readBack(try DomainXML.destination(source, sliceBytes: 12345))
        let element = try #require(disk.first("source"))
        let slice = try #require(element.first("slices")?.first("slice"))
        #expect(slice.value("type") == "storage" && slice.value("offset") == "0" && slice.value("size") == "12345")
        #expect(element.first("auth")?.value("username") == "cinder")
        #expect(element.first("auth")?.first("secret")?.value("uuid") == Self.ceph.uuid)
        #expect(element.first("auth")?.first("secret")?.value("type") == "ceph")
        #expect(element.first("encryption")?.value("format") == "luks")
        #expect(element.first("encryption")?.value("engine") == "qemu")
        #expect(element.first("encryption")?.first("secret")?.value("type") == "passphrase")
    }

    @Test("An unsupported place is not a destination")
    func other() {
        let failure = Fixture.failure {
            _ = try DomainXML.destination(VolumeSource(location: .other("volume source x"), format: "raw"))
        }
        #expect(failure?.kind == .invalidVolume)
    }

    static let hostile = [
        "a'b", "a\"b", "</source><evil/>", "<![CDATA[x]]>", "]]>", "&amp;", "&", "&#0;", "a&b;c", "größe", "磁盘🖴", "%s%n", "a b",
        "<!--",
        "{{x}}", "\u{85}", "\u{2028}", String(repeating: "x", count: 4000),
    ]

    @Test("A hostile name stays a name", arguments: hostile)
    func escaping(text: String) throws {
        let locations: [VolumeLocation] = [
            .file("/\(text)"), .block("/dev/\(text)"),
            .network(NetworkLocation(transport: "rbd", name: text, hosts: [.init(name: text, port: 1)])),
        ]
        for location in locations {
            let source = VolumeSource(
                location: location, format: "raw", auth: .init(username: text, secret: SecretReference(type: "ceph", usage: text))
            )
            let disk = try Self.readBack(try DomainXML.destination(source))
            let element = try #require(disk.first("source"))
            #expect(VolumeLocation(type: disk.value("type") ?? "", source: element) == location)
            #expect(element.first("auth")?.value("username") == text)
            #expect(element.first("auth")?.first("secret")?.value("usage") == text)
            #expect(disk.all("evil").isEmpty)
            #expect(element.children.count == (location.path == nil ? 2 : 1))
        }
    }

    @Test("A secret's usage and description are escaped", arguments: hostile)
    func secret(text: String) throws {
        let xml = DomainXML.secret(uuid: "u-1", usageType: .iscsi, usage: text, description: text)
        let root = try Self.readBack(xml)
        #expect(root.value("private") == "yes" && root.value("ephemeral") == "no")
        #expect(root.first("usage")?.value("type") == "iscsi")
        #expect(root.first("usage")?.first("target")?.text == text)
        #expect(root.first("description")?.text == text)
    }

    @Test("A definition survives in the domain's metadata", arguments: hostile)
    func metadata(text: String) throws {
        var definition = StoredDomain.xml
        let root = try #require(try XMLDocument(xmlString: definition, options: []).rootElement())
        root.elements(forName: "description").first?.stringValue = text
        definition = root.xmlString
        let metadata = try DomainXML.recoveryMetadata(
            task: TaskID("t-1"), disk: "vdb", definition: definition, isAutostarted: true)
        let read = try #require(DomainXML.recoveryDefinition(metadata: metadata))
        #expect(read.task == TaskID("t-1"))
        #expect(read.disk == "vdb")
        #expect(try XMLTree(parsing: read.definition) == XMLTree(parsing: definition))
        #expect(read.isAutostarted)
        #expect(read.liveDevices == nil)
    }

    @Test("The devices of the running domain survive in its metadata", arguments: [[], hostile])
    func metadataDevices(devices: [String]) throws {
        let metadata = try DomainXML.recoveryMetadata(
            task: TaskID("t-1"), disk: "vdb", definition: StoredDomain.xml, isAutostarted: false, liveDevices: devices)
        #expect(DomainXML.recoveryDefinition(metadata: metadata)?.liveDevices == devices)
    }

    @Test("The metadata is also read in libvirt's form, with its namespace")
    func namespacedMetadata() throws {
        let made = try DomainXML.recoveryMetadata(
            task: TaskID("t-1"), disk: "vdb", definition: StoredDomain.xml, isAutostarted: false)
        let prefixed = made.replacing("<swap ", with: "<pivotd:swap xmlns:pivotd='urn:x' ")
            .replacing("</swap>", with: "</pivotd:swap>").replacing("<definition>", with: "<pivotd:definition>")
            .replacing("</definition>", with: "</pivotd:definition>")
        let read = try #require(DomainXML.recoveryDefinition(metadata: prefixed))
        #expect(try XMLTree(parsing: read.definition) == XMLTree(parsing: StoredDomain.xml))
    }

    static let console = """
        <domain type='qemu'><name>n</name><devices><graphics type='vnc' port='-1' passwd='sesame' passwdValidTo='2030-01-01T00:00:00'/>\
        <disk><target dev='vdb'/></disk></devices></domain>
        """

    @Test("The world-readable metadata holds no password; the running domain provides it")
    func passwords() throws {
        let metadata = try DomainXML.recoveryMetadata(
            task: TaskID("t-1"), disk: "vdb", definition: Self.console, isAutostarted: false)
        #expect(!metadata.contains("sesame"))
        let read = try #require(DomainXML.recoveryDefinition(metadata: metadata))
        let restored = try DomainXML.takingPasswords(read.definition, from: Self.console)
        #expect(try XMLTree(parsing: restored) == XMLTree(parsing: Self.console))
    }

    @Test("Nor does it hold cookies, which libvirt shows to privileged clients alone")
    func cookies() throws {
        let source = "<source protocol='https' name='a'><cookies><cookie name='t'>sesame</cookie></cookies></source>"
        let xml =
            "<domain type='qemu'><name>n</name><devices><disk type='network' device='cdrom'>\(source)<backingStore type='network'>"
            + "\(source)</backingStore><target dev='sda'/></disk></devices></domain>"
        let metadata = try DomainXML.recoveryMetadata(task: TaskID("t-1"), disk: "vdb", definition: xml, isAutostarted: false)
        #expect(!metadata.contains("sesame"))
        let read = try #require(DomainXML.recoveryDefinition(metadata: metadata))
        let restored = try DomainDocument(xml: DomainXML.takingPasswords(read.definition, from: xml))
        #expect(restored.diskElement("sda")?.first("source")?.first("cookies")?.first("cookie")?.text == "sesame")
        // Not those of another image that is in the drive by now.
        let changed = xml.replacing("name='a'", with: "name='b'")
        #expect(try !DomainXML.takingPasswords(read.definition, from: changed).contains("sesame"))
    }

    private static func domain(_ disks: String...) -> String {
        let elements = disks.map {
            "<disk type='file' device='disk'><source file='/\($0)' index='3'/><target dev='\($0)'/><alias name='virtio-\($0)'/></disk>"
        }
        return
            "<domain type='qemu'><name>n</name><devices>\(elements.joined())<interface><mac address='52:54:00:00:00:01'/></interface>"
            + "</devices></domain>"
    }

    @Test("A restored definition reflects devices that came and went meanwhile")
    func devices() throws {
        // vdx was only in the running domain before, so it stays out.
        let known = try DomainXML.devices(Self.domain("vda", "vdb", "vdx"))
        let saved = Self.domain("vda", "vdb")
        let restored = try DomainXML.takingDevices(saved, known: known, of: "vda", from: Self.domain("vda", "vdx", "vdz")).xml
        let disks = try #require(try XMLTree(parsing: restored).first("devices")).all("disk")
        #expect(disks.compactMap { $0.first("target")?.value("dev") } == ["vda", "vdz"])
        let new = try #require(disks.last)
        #expect(new.first("alias") == nil)
        #expect(new.first("source")?.attributes == ["file": "/vdz"])
        #expect(try XMLTree(parsing: restored).first("devices")?.all("interface").count == 1)
    }

    @Test("A restored definition follows a disk that someone else moved; ours is ignored")
    func movedDevices() throws {
        let before = Self.domain("vda", "vdb", "vdc")
        let known = try DomainXML.devices(before)
        let now = before.replacingOccurrences(of: "/vdb", with: "/moved").replacingOccurrences(of: "/vda", with: "/ours")
        let restored = try DomainXML.takingDevices(before, known: known, of: "vda", from: now).xml
        let disks = try #require(try XMLTree(parsing: restored).first("devices")).all("disk")
        #expect(disks.map { $0.first("source")?.value("file") } == ["/vda", "/moved", "/vdc"])
        // A journal from an earlier version has no places.
        let old = known.filter { !$0.hasPrefix("place") }
        #expect(try DomainXML.takingDevices(before, known: old, of: "vda", from: now).xml.contains("/vdb"))
    }

    @Test("A disk that was exchanged for another under its name is stored as that one, not only its source")
    func exchangedDevices() throws {
        let before = Self.domain("vda", "vdb").replacingOccurrences(
            of: "<target dev=\"vdb\"", with: "<serial>A</serial><target dev=\"vdb\""
        )
        .replacingOccurrences(of: "<target dev='vdb'", with: "<serial>A</serial><target dev='vdb'")
        let now = before.replacingOccurrences(of: "/vdb", with: "/other").replacingOccurrences(of: ">A<", with: ">B<")
        let taken = try DomainXML.takingDevices(before, known: try DomainXML.devices(before), of: "vda", from: now)
        #expect(taken.changes == ["exchanged disk vdb"])
        let disks = try #require(try XMLTree(parsing: taken.xml).first("devices")).all("disk")
        let exchanged = try #require(disks.first { $0.first("target")?.value("dev") == "vdb" })
        #expect(disks.count == 2 && exchanged.first("serial")?.text == "B")
        #expect(exchanged.first("source")?.value("file") == "/other")
    }

    @Test(
        "Foreign metadata is not a definition",
        arguments: ["<x", "<swap/>", "<swap task='a' disk='b'/>", "<swap disk='b'><definition/></swap>"])
    func foreignMetadata(text: String) {
        #expect(DomainXML.recoveryDefinition(metadata: text) == nil)
    }
}
