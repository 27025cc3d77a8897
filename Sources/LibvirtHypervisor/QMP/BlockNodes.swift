import JSON
import VolumeSwap

/// QEMU's block nodes, the answer to `query-named-block-nodes`.
struct BlockNodes: Sendable {
    private let nodes: [String: JSONValue]

    init(_ answer: JSONValue) {
        nodes = (answer.arrayValue ?? []).reduce(into: [:]) { known, node in
            if let name = node["node-name"]?.stringValue { known[name] = node }
        }
    }

    subscript(name: String) -> JSONValue? { nodes[name] }

    /// The full size in bytes of volume `libvirt-INDEX`.
    func bytes(ofVolume index: String) -> Int64? {
        nodes["libvirt-\(index)-storage"]?["image"]?["virtual-size"]?.integerValue
    }

    /// Reopens the raw node of volume `libvirt-INDEX`.
    ///
    /// - Parameter changes: Options that differ from the current ones. A window (`offset`, `size`) that they do not name is
    ///   dropped.
    /// - Throws: `unsupported` if the volume has no raw node.
    func reopening(volume index: String, _ changes: JSONObject) throws(HypervisorError) -> QMPCommand {
        let storage = "libvirt-\(index)-storage"
        // libvirt puts the window into a raw disk's format node, or into a separate node.
        guard let raw = nodes["libvirt-\(index)-slice-sto"] ?? nodes["libvirt-\(index)-format"], nodes[storage] != nil,
            raw["drv"]?.stringValue == "raw", let name = raw["node-name"]?.stringValue
        else { throw HypervisorError(.unsupported, "QEMU has no raw node over \(storage)") }
        var options: JSONObject = [
            "driver": "raw", "node-name": .string(name), "file": .string(storage), "read-only": raw["ro"] ?? false,
            "cache": Self.cache(raw), "detect-zeroes": raw["detect_zeroes"] ?? "off",
        ]
        options.merge(changes)
        return QMPCommand("blockdev-reopen", ["options": [.object(options)]])
    }

    /// Reopens a disk's volume that libvirt has closed, with the cache mode of the running one.
    ///
    /// - Parameters:
    ///   - top: The volume's topmost node, `libvirt-INDEX-format`.
    ///   - running: The node that the disk runs on.
    /// - Returns: The commands to send, in order; none if the volume is open.
    /// - Throws: `unsupported` for anything but raw files and block devices.
    func opening(_ disk: LiveDisk, index: String, top: String, as running: String) throws(HypervisorError) -> [QMPCommand] {
        guard nodes[top] == nil else { return [] }
        let cache = Self.cache(nodes[running])
        let storage = "libvirt-\(index)-storage"
        var commands: [QMPCommand] = []
        if nodes[storage] == nil {
            guard let (driver, path) = disk.rawPath else {
                throw HypervisorError(
                    .unsupported, "libvirt has closed the old volume, and only a raw file or block device is opened again")
            }
            commands.append(
                QMPCommand(
                    "blockdev-add",
                    [
                        "driver": driver, "node-name": .string(storage), "filename": .string(path), "cache": cache,
                        "auto-read-only": true, "discard": "unmap",
                    ]))
        }
        guard nodes[running]?["drv"]?.stringValue == "raw" else {
            throw HypervisorError(.unsupported, "libvirt has closed the old volume, and the new one is not raw")
        }
        commands.append(
            QMPCommand(
                "blockdev-add",
                ["driver": "raw", "node-name": .string(top), "file": .string(storage), "cache": cache, "discard": "unmap"]))
        return commands
    }

    /// Closes the nodes of volume `libvirt-INDEX`, the topmost first.
    func closing(volume index: String) -> [QMPCommand] {
        ["format", "slice-sto", "storage"].map { "libvirt-\(index)-\($0)" }.filter { nodes[$0] != nil }
            .map { QMPCommand("blockdev-del", ["node-name": .string($0)]) }
    }

    private static func cache(_ node: JSONValue?) -> JSONValue {
        ["direct": node?["cache"]?["direct"] ?? false, "no-flush": node?["cache"]?["no-flush"] ?? false]
    }
}
