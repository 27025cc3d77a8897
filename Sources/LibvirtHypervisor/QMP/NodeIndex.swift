import VolumeSwap

/// libvirt's numbers of a disk's nodes: `<source index='3'>` stands for QEMU's `libvirt-3-format` and `libvirt-3-storage`.
enum NodeIndex {
    /// Of the copy that runs on the disk.
    static func mirror(in xml: String, disk: String) -> String? {
        element(xml, disk)?.first("mirror")?.first("source")?.value("index")
    }

    /// Of the disk itself.
    static func source(in xml: String, disk: String) -> String? {
        element(xml, disk)?.first("source")?.value("index")
    }

    /// The name of the disk's device in QEMU.
    static func alias(in xml: String, disk: String) -> String? {
        element(xml, disk)?.first("alias")?.value("name")
    }

    /// The disk's `discard` setting.
    static func discard(in xml: String, disk: String) -> String? {
        element(xml, disk)?.first("driver")?.value("discard")
    }

    /// Whether the disk's source is shown in part only.
    static func hasSlice(in xml: String, disk: String) -> Bool {
        element(xml, disk)?.first("source")?.first("slices") != nil
    }

    private static func element(_ xml: String, _ disk: String) -> XMLTree? {
        let disks = (try? XMLTree(parsing: xml))?.first("devices")?.all("disk")
        return disks?.first { $0.first("target")?.value("dev") == disk }
    }
}
