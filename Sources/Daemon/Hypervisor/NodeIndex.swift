import Foundation
import FoundationXML

/// libvirt's numbers of a disk's nodes: `<source index='3'>` stands for QEMU's `libvirt-3-format` and `libvirt-3-storage`.
enum NodeIndex {
    /// Of the copy that runs on the disk.
    static func mirror(in xml: String, disk: String) -> String? {
        element(xml, disk)?.elements(forName: "mirror").first?.elements(forName: "source").first?.attribute(forName: "index")?
            .stringValue
    }

    /// Of the disk itself.
    static func source(in xml: String, disk: String) -> String? {
        element(xml, disk)?.elements(forName: "source").first?.attribute(forName: "index")?.stringValue
    }

    /// The name of the disk's device in QEMU.
    static func alias(in xml: String, disk: String) -> String? {
        element(xml, disk)?.elements(forName: "alias").first?.attribute(forName: "name")?.stringValue
    }

    /// The disk's `discard` setting.
    static func discard(in xml: String, disk: String) -> String? {
        element(xml, disk)?.elements(forName: "driver").first?.attribute(forName: "discard")?.stringValue
    }

    private static func element(_ xml: String, _ disk: String) -> XMLElement? {
        let document = try? XMLDocument(xmlString: xml, options: [.nodeLoadExternalEntitiesNever])
        let disks = document?.rootElement()?.elements(forName: "devices").first?.elements(forName: "disk")
        return disks?.first { $0.elements(forName: "target").first?.attribute(forName: "dev")?.stringValue == disk }
    }
}
