import JSON
import VolumeSwap

/// A disk in the live configuration, as far as its QEMU nodes are concerned.
///
/// libvirt numbers what it opens: `<source index='3'>` means QEMU's nodes `libvirt-3-format` and `libvirt-3-storage`; from 10.0 on
/// a raw volume has no format node, and one of which the guest sees a part has `libvirt-3-slice-sto`.
struct LiveDisk: Sendable {
    private let element: XMLTree?

    /// - Parameters:
    ///   - name: The disk's target, such as `vdb`.
    ///   - xml: The domain's live configuration. Everything is nil if it has no such disk.
    init(_ name: String, in xml: String) {
        let disks = (try? XMLTree(parsing: xml))?.first("devices")?.all("disk")
        element = disks?.first { $0.first("target")?.value("dev") == name }
    }

    private var source: XMLTree? { element?.first("source") }

    /// libvirt's number for the disk's volume.
    var index: String? { source?.value("index") }
    /// libvirt's number for the volume that a copy writes to.
    var mirrorIndex: String? { element?.first("mirror")?.first("source")?.value("index") }
    var isMirrored: Bool { element?.first("mirror") != nil }
    /// The name of the disk's device in QEMU.
    var alias: String? { element?.first("alias")?.value("name") }
    /// How QEMU reads and writes a file or block device; nil for its default.
    var aio: String? { element?.first("driver")?.value("io") }
    /// What QEMU does with the guest's discards and zeroes. Like libvirt, unmaps zeroes only where it may discard.
    var zeroHandling: JSONObject {
        let driver = element?.first("driver")
        let discard = driver?.value("discard") ?? "ignore"
        var zeroes = driver?.value("detect_zeroes") ?? "off"
        if zeroes == "unmap", discard != "unmap" { zeroes = "on" }
        return ["discard": .string(discard), "detect-zeroes": .string(zeroes)]
    }
    /// Whether the guest sees only a part of the volume.
    var hasSlice: Bool { source?.first("slices") != nil }

    /// QEMU's protocol driver and the path for a raw file or block device; nil for any other volume.
    var rawPath: (driver: JSONValue, path: String)? {
        guard element?.first("driver")?.value("type") == "raw" else { return nil }
        switch element?.value("type") {
        case "file": return source?.value("file").map { ("file", $0) }
        case "block": return source?.value("dev").map { ("host_device", $0) }
        default: return nil
        }
    }
}
