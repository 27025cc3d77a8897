import JSON
import VolumeSwap

/// The node that QEMU runs a disk on, and the one that libvirt describes.
struct RunningNode: Sendable, Equatable {
    let node: String
    /// N of `libvirt-N-format`, `libvirt-N-slice-sto` or `libvirt-N-storage`.
    let index: String
    let described: String

    var isDescribed: Bool { index == described }

    /// - Parameters:
    ///   - devices: The answer to `query-block`.
    ///   - graph: To find the node below libvirt's filters, such as that of `copy_on_read`; without it only the topmost node counts.
    /// - Returns: nil if either node is not numbered by libvirt.
    init?(_ disk: LiveDisk, devices: JSONValue, graph: BlockGraph? = nil) {
        guard let described = disk.index, let alias = disk.alias else { return nil }
        let device = devices.arrayValue?.first {
            $0["qdev"]?.stringValue?.split(separator: "/").contains(Substring(alias)) == true
        }
        guard let top = device?["inserted"]?["node-name"]?.stringValue else { return nil }
        let chain = graph?.chain(from: top) ?? [top]
        guard let node = chain.first(where: { Self.index(of: $0) != nil }), let index = Self.index(of: node) else { return nil }
        self.node = node
        self.index = index
        self.described = described
    }

    /// libvirt numbers its filters, too, but not as it numbers volumes.
    private static func index(of node: String) -> String? {
        let parts = node.split(separator: "-")
        guard parts.count >= 3, parts[0] == "libvirt", Int(parts[1]) != nil else { return nil }
        return ["format", "slice", "storage"].contains(parts[2]) ? String(parts[1]) : nil
    }
}

/// Mirrors a disk back onto the volume that libvirt describes, after a pivot that libvirt has not noticed. Pure: takes what
/// libvirt and QEMU report, and returns the next commands.
struct MirrorBack {
    /// libvirt's view and QEMU's, read one after the other.
    struct Sight: Sendable {
        var disk: LiveDisk
        /// The answer to `query-block`.
        var devices: JSONValue
        /// What is below a filter; nil if there is none.
        var graph: BlockGraph?
        /// The answer to `query-jobs`.
        var jobs: JSONValue
        var nodes: BlockNodes
    }

    enum Step: Equatable {
        /// Send these, then recheck at the next event of the ``job``.
        case send([QMPCommand])
        /// libvirt and QEMU agree. These close the volume that libvirt does not know, though it may stay open.
        case agree([QMPCommand])
        /// The mirror failed: send this, then report the error.
        case fail(QMPCommand, HypervisorError)
    }

    let disk: String
    /// The mirror's job name in QEMU: libvirt's own for a copy of this disk. If libvirt still waits for that copy to end, the end
    /// of this one makes it drop the `<mirror>`.
    private(set) var job = ""
    private var strayed: RunningNode?
    /// How often the mirror was found finished with the `<mirror>` still present.
    private var waits = 0

    init(disk: String) {
        self.disk = disk
    }

    /// - Throws: `other` if QEMU does not report the disk's node, `unsupported` if the old volume cannot be reopened.
    mutating func next(_ sight: Sight) throws(HypervisorError) -> Step {
        guard let found = RunningNode(sight.disk, devices: sight.devices, graph: sight.graph) else {
            throw HypervisorError(.other, "QEMU does not report the node of disk \(disk)")
        }
        let top = sight.nodes.top(ofVolume: found.described, as: found.node)
        job = "copy-\(disk)-\(top)"
        let known = sight.jobs.arrayValue?.first { $0["id"]?.stringValue == job }
        let dismissal = QMPCommand("job-dismiss", ["id": .string(job)])
        if !found.isDescribed { strayed = found }
        switch (found.isDescribed, known?["status"]?.stringValue) {
        case (true, nil):
            return .agree(strayed.map { sight.nodes.closing(volume: $0.index) } ?? [])
        case (true, "concluded"):
            waits += 1
            return .send(!sight.disk.isMirrored || waits > 2 ? [dismissal] : [])
        case (false, nil):
            let opening = try sight.nodes.opening(
                sight.disk, index: found.described, top: top, as: found.node)
            let mirror = QMPCommand(
                "blockdev-mirror",
                [
                    "job-id": .string(job), "device": .string(found.node), "target": .string(top),
                    "sync": "full", "auto-dismiss": false,
                ])
            return .send(opening + [mirror])
        case (false, "ready"):
            return .send([QMPCommand("job-complete", ["id": .string(job)])])
        case (false, "concluded"):
            let reason = known?["error"]?.stringValue ?? "QEMU gave no reason"
            return .fail(dismissal, HypervisorError(.other, "mirroring back failed: \(reason)"))
        default: return .send([])
        }
    }
}
