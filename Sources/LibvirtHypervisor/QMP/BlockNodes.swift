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

    /// The node that ``reopening(volume:_:aio:)`` reopens.
    func reopenable(volume index: String) -> JSONValue? { over(index) ?? nodes["libvirt-\(index)-storage"] }

    /// libvirt puts the window into a raw disk's format node, or into a separate node.
    private func over(_ index: String) -> JSONValue? { nodes["libvirt-\(index)-slice-sto"] ?? nodes["libvirt-\(index)-format"] }

    /// Reopens the raw node of volume `libvirt-INDEX`. libvirt 10 and later make none for a whole raw volume; the node of the
    /// file or block device is reopened then.
    ///
    /// - Parameters:
    ///   - changes: Options that differ from the current ones. A window (`offset`, `size`) that they do not name is dropped.
    ///   - aio: The disk's `io`, which QEMU does not report.
    /// - Throws: `unsupported` if the volume has no such node.
    func reopening(volume index: String, _ changes: JSONObject, aio: String?) throws(HypervisorError) -> QMPCommand {
        let storage = "libvirt-\(index)-storage"
        let over = over(index)
        if over == nil, let whole = nodes[storage], let path = Self.path(whole), changes["size"] == nil {
            var options: JSONObject = [
                "driver": whole["drv"] ?? "file", "node-name": .string(storage), "filename": path,
                "read-only": whole["ro"] ?? false, "cache": Self.cache(whole), "detect-zeroes": whole["detect_zeroes"] ?? "off",
            ]
            if let aio { options["aio"] = .string(aio) }
            options.merge(changes)
            return QMPCommand("blockdev-reopen", ["options": [.object(options)]])
        }
        guard let raw = over, nodes[storage] != nil, raw["drv"]?.stringValue == "raw", let name = raw["node-name"]?.stringValue
        else { throw HypervisorError(.unsupported, "QEMU has no raw node over \(storage)") }
        var options: JSONObject = [
            "driver": "raw", "node-name": .string(name), "file": .string(storage), "read-only": raw["ro"] ?? false,
            "cache": Self.cache(raw), "detect-zeroes": raw["detect_zeroes"] ?? "off",
        ]
        options.merge(changes)
        return QMPCommand("blockdev-reopen", ["options": [.object(options)]])
    }

    /// The path of a file or block device that QEMU opens by itself.
    private static func path(_ node: JSONValue) -> JSONValue? {
        ["file", "host_device"].contains(node["drv"]?.stringValue) ? node["image"]?["filename"] : nil
    }

    /// The topmost node of volume `libvirt-INDEX`.
    ///
    /// - Parameter running: The node of another volume of the disk, whose layers this one has if it is closed.
    func top(ofVolume index: String, as running: String) -> String {
        let usual = "libvirt-\(index)-\(running.hasSuffix("-format") ? "format" : "storage")"
        // A raw format node: each volume has one.
        if usual.hasSuffix("-format"), nodes[running]?["drv"]?.stringValue == "raw" { return usual }
        return ["format", "slice-sto", "storage"].map { "libvirt-\(index)-\($0)" }.first { nodes[$0] != nil } ?? usual
    }

    /// Reopens a disk's volume that libvirt has closed, with the cache mode of the running one.
    ///
    /// - Parameters:
    ///   - top: The volume's topmost node, `libvirt-INDEX-format` or `libvirt-INDEX-storage`.
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
            var options: JSONObject = [
                "driver": driver, "node-name": .string(storage), "filename": .string(path), "cache": cache,
                "auto-read-only": true, "discard": "unmap",
            ]
            if top == storage, let aio = disk.aio { options["aio"] = .string(aio) }
            commands.append(QMPCommand("blockdev-add", .object(options)))
        }
        guard top != storage else { return commands }
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
