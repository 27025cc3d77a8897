import Foundation
import FoundationXML
import Testing

@testable import VolumeSwap

@Suite("Editing a stored configuration")
struct StoredConfigurationTests {
    static let destinations = DomainXMLTests.locations.map { VolumeSource(location: $0, format: "raw") }

    /// The canonical form without the edited disk.
    static func rest(_ xml: String) throws -> String {
        var root = try XMLTree(parsing: xml)
        for index in root.children.indices where root.children[index].name == "devices" {
            root.children[index].children.removeAll { $0.name == "disk" && $0.first("target")?.value("dev") == "vdb" }
        }
        return root.canonicalText
    }

    @Test("Only the disk's source changes", arguments: destinations)
    func settingSource(destination: VolumeSource) throws {
        let edited = try DomainXML.settingSource(StoredDomain.xml, disk: "vdb", to: destination)
        #expect(try Self.rest(edited) == Self.rest(StoredDomain.xml))
        let before = try DomainDescription(xml: StoredDomain.xml)
        let after = try DomainDescription(xml: edited)
        #expect(after.disk("vdb")?.location == destination.location)
        #expect(after.disk("vdb")?.keptElements == before.disk("vdb")?.keptElements)
        #expect(after.disk("vda") == before.disk("vda"))
        #expect(after.hasTPM)
    }

    @Test("Namespaces, comments and escaped strings are unchanged")
    func texts() throws {
        let cached = "iothread='1'><metadata_cache><max_size unit='bytes'>1</max_size></metadata_cache></driver>"
        let xml = StoredDomain.xml.replacing("iothread='1'/>", with: cached)
        #expect(xml != StoredDomain.xml)
        #expect(try !DomainXML.settingSource(xml, disk: "vdb", to: Self.destinations[0]).contains("metadata_cache"))
        let edited = try DomainXML.settingSource(StoredDomain.xml, disk: "vdb", to: Self.destinations[0])
        let document = try XMLDocument(xmlString: edited, options: [.nodePreserveWhitespace])
        let root = try #require(document.rootElement())
        #expect(root.elements(forName: "title").first?.stringValue == "A <b> \"title\"")
        #expect(root.elements(forName: "description").first?.stringValue == "R&D: 1 < 2, naïve 🖴")
        #expect(edited.contains("<!-- a comment -->"))
        let qemu = "http://libvirt.org/schemas/domain/qemu/1.0"
        #expect(edited.contains(qemu))
        #expect(root.elements(forLocalName: "commandline", uri: qemu).count == 1)
        #expect(edited.contains("-fw_cfg"))
        let environment = root.elements(forLocalName: "commandline", uri: qemu).first?.elements(forLocalName: "env", uri: qemu)
            .first
        #expect(environment?.attribute(forName: "value")?.stringValue == "\"b\" & c")
        #expect(edited.contains("xmlns:nova=\"http://openstack.org/xmlns/libvirt/nova/1.1\""))
        #expect(edited.contains("web &amp; db</nova:name"))
        #expect(edited.contains("xmlns=\"urn:other\""))
    }

    @Test("Settings that libvirt refuses for the new source are found, and dropped")
    func refusedSettings() throws {
        let network = VolumeLocation.network(NetworkLocation(transport: "nbd", name: "x", hosts: []))
        func isKept(_ stored: String, on location: VolumeLocation) throws -> Bool {
            try DomainXML.keepsRefusedSetting(stored, disk: "vdb", on: location, savedXML: StoredDomain.xml)
        }
        // libvirt does not show a network volume's startupPolicy.
        #expect(StoredDomain.xml.contains("startupPolicy"))
        #expect(try isKept(StoredDomain.xml, on: network))
        #expect(try !isKept(StoredDomain.xml, on: .file("/volumes/new")))

        let unref = StoredDomain.xml.replacing("iothread='1'/>", with: "iothread='1' discard_no_unref='on'/>")
        #expect(unref != StoredDomain.xml)
        #expect(try isKept(unref, on: .file("/volumes/new")))
        let raw = VolumeSource(location: .file("/volumes/new"), format: "raw")
        #expect(try !isKept(DomainXML.settingSource(unref, disk: "vdb", to: raw), on: raw.location))
        let image = VolumeSource(location: .file("/volumes/new"), format: "qcow2")
        let kept = try DomainXML.settingSource(unref, disk: "vdb", to: image)
        #expect(try kept.contains("discard_no_unref") && !isKept(kept, on: image.location))
    }

    @Test("An edit is idempotent")
    func idempotent() throws {
        let once = try DomainXML.settingSource(StoredDomain.xml, disk: "vdb", to: Self.destinations[1])
        #expect(try DomainXML.settingSource(once, disk: "vdb", to: Self.destinations[1]) == once)
    }

    @Test("The format is stated, and encryption and authentication go with the source")
    func format() throws {
        let encrypted = VolumeSource(
            location: .file("/volumes/luks"), format: "qcow2", encryption: SecretReference(type: "passphrase", uuid: "u-1"))
        let edited = try DomainXML.settingSource(StoredDomain.xml, disk: "vdb", to: encrypted)
        let disk = try #require(try DomainDescription(xml: edited).disk("vdb"))
        #expect(disk.format == "qcow2")
        #expect(disk.isEncrypted)
        #expect(disk.secretUUIDs == ["u-1"])
        let plain = try DomainXML.settingSource(edited, disk: "vdb", to: Self.destinations[0])
        let after = try #require(try DomainDescription(xml: plain).disk("vdb"))
        #expect(!after.isEncrypted)
        #expect(after.format == "raw")
    }

    @Test("A disk without a driver gets one")
    func noDriver() throws {
        let bare = StoredDomain.xml.replacing(
            "<driver name='qemu' type='raw' cache='none' io='native' discard='unmap' queues='2' iothread='1'/>", with: "")
        let edited = try DomainXML.settingSource(bare, disk: "vdb", to: Self.destinations[0])
        #expect(try DomainDescription(xml: edited).disk("vdb")?.format == "raw")
    }

    @Test("The running domain's source is copied without slices, indexes and private data")
    func takingSource() throws {
        let live = """
            <domain type='kvm' id='3'><name>instance-0000002a</name><devices>
            <disk type='network' device='disk'><driver name='qemu' type='raw'/>
            <source protocol='rbd' name='p/i' index='4'><host name='a' port='6789'/>
            <slices><slice type='storage' offset='0' size='5'/></slices>
            <auth username='cinder'><secret type='ceph' uuid='u-2'/></auth><privateData><nodenames/></privateData></source>
            <target dev='vdb' bus='virtio'/><alias name='virtio-disk1'/></disk></devices></domain>
            """
        let edited = try DomainXML.takingSource(StoredDomain.xml, disk: "vdb", from: live)
        #expect(try Self.rest(edited) == Self.rest(StoredDomain.xml))
        let disk = try #require(try DomainDescription(xml: edited).disk("vdb"))
        #expect(
            disk.location
                == .network(NetworkLocation(transport: "rbd", name: "p/i", hosts: [.init(name: "a", port: 6789)])))
        #expect(!disk.hasSlices)
        #expect(disk.secretUUIDs == ["u-2"])
        #expect(disk.keptElements == (try DomainDescription(xml: StoredDomain.xml).disk("vdb")?.keptElements))
        #expect(!edited.contains("privateData"))
        #expect(!edited.contains("index='4'") && !edited.contains("index=\"4\""))
    }

    @Test("A missing disk and broken XML are failures", arguments: ["<domain", "<network/>", "<domain><devices/></domain>"])
    func broken(xml: String) {
        let set = Fixture.failure { _ = try DomainXML.settingSource(xml, disk: "vdb", to: Self.destinations[0]) }
        #expect(set?.kind == .volumeRebaseFailed)
        let take = Fixture.failure { _ = try DomainXML.takingSource(StoredDomain.xml, disk: "vdb", from: xml) }
        #expect(take?.kind == .volumeRebaseFailed)
    }

    @Test("External entities are not read")
    func entities() {
        let xml = "<!DOCTYPE d [<!ENTITY x SYSTEM 'file:///etc/hostname'>]><domain><name>&x;</name></domain>"
        #expect((try? DomainDescription(xml: xml))?.name.isEmpty ?? true)
    }
}
