import JSON
import Libvirt
package import VolumeSwap

extension LibvirtHypervisor {
    package func growSupport() async throws(HypervisorError) -> GrowSupport {
        guard allowsMonitorCommands else {
            return .unsupported("it needs QEMU's monitor, and allow_monitor_commands is false")
        }
        let version = try await read("getVersion") { (connection) throws(LibvirtError) in
            try await connection.hypervisorVersion()
        }
        guard version >= 7_000_000 else {
            return .unsupported(
                "it needs QEMU 7.0 (blockdev-reopen), and this is \(version / 1_000_000).\(version / 1000 % 1000)")
        }
        return .supported
    }

    package func mirrorCapacity(_ domain: DomainIdentity, disk: String) async throws(HypervisorError) -> Int64? {
        guard allowsMonitorCommands else { return nil }
        let nodes = try await blockNodes(domain)
        let jobs = try await monitor(domain, "query-block-jobs")
        // The mirror's job blocks its target: libvirt names the target's nodes libvirt-N-format and libvirt-N-storage.
        let live = try await xml(domain, .live)
        guard jobs.arrayValue?.isEmpty == false, let index = NodeIndex.mirror(in: live, disk: disk) else { return nil }
        return nodes["libvirt-\(index)-storage"]?["image"]?["virtual-size"]?.integerValue
    }

    package func grow(_ domain: DomainIdentity, disk: String, toBytes bytes: Int64) async throws(HypervisorError) {
        // Without the window QEMU tells the volume's whole size, though the guest has not heard of it: then only the resize tells.
        if try await !hasSlice(domain, disk: disk), try await capacity(domain, disk: disk) >= bytes { return }
        _ = try await dropSlice(domain, disk: disk)
        try await writing(domain, "blockResize") { (domain) throws(LibvirtError) in
            try await domain.blockResize(disk: disk, bytes: UInt64(clamping: bytes))
        }
    }

    package func unmapZeroes(_ domain: DomainIdentity, disk: String, sliceBytes: Int64?) async throws(HypervisorError) {
        guard case .supported = try await growSupport() else {
            throw HypervisorError(.unsupported, "it needs QEMU 7.0 and its monitor")
        }
        let live = try await xml(domain, .live)
        guard let index = NodeIndex.mirror(in: live, disk: disk) else {
            throw HypervisorError(.other, "libvirt does not tell the node of the copy of disk \(disk)")
        }
        var changes: JSONObject = ["discard": "unmap", "detect-zeroes": "unmap"]
        if let sliceBytes {
            changes["offset"] = 0
            changes["size"] = .integer(sliceBytes)
        }
        try await reopen(domain, index, changes)
    }

    /// libvirt before 10.0 keeps `<slices>` in the live configuration whatever is done (`virDomainUpdateDeviceFlags` and a restart
    /// of libvirtd were tried on 9.0); from then on `virDomainBlockResize` drops them.
    package func dropSlice(_ domain: DomainIdentity, disk: String) async throws(HypervisorError) -> Bool {
        let live = try await xml(domain, .live)
        guard NodeIndex.hasSlice(in: live, disk: disk) else { return false }
        if case .unsupported(let why) = try await growSupport() { throw HypervisorError(.unsupported, why) }
        guard let index = NodeIndex.source(in: live, disk: disk) else {
            throw HypervisorError(.other, "libvirt does not tell the node of disk \(disk)")
        }
        try await reopen(domain, index, ["discard": .string(NodeIndex.discard(in: live, disk: disk) ?? "ignore")])
        return try await hasSlice(domain, disk: disk)
    }

    private func hasSlice(_ domain: DomainIdentity, disk: String) async throws(HypervisorError) -> Bool {
        NodeIndex.hasSlice(in: try await xml(domain, .live), disk: disk)
    }

    /// Reopens a volume's raw node. What `changes` does not name stays, but for a window (`offset`, `size`), which goes.
    private func reopen(_ domain: DomainIdentity, _ index: String, _ changes: JSONObject) async throws(HypervisorError) {
        let nodes = try await blockNodes(domain)
        let storage = "libvirt-\(index)-storage"
        // libvirt puts the window into the format node of a raw disk, or into a node of its own.
        guard let raw = nodes["libvirt-\(index)-slice-sto"] ?? nodes["libvirt-\(index)-format"], nodes[storage] != nil,
            raw["drv"]?.stringValue == "raw", let name = raw["node-name"]?.stringValue
        else { throw HypervisorError(.unsupported, "QEMU has no raw node over \(storage)") }
        var options: JSONObject = [
            "driver": "raw", "node-name": .string(name), "file": .string(storage), "read-only": raw["ro"] ?? false,
            "cache": ["direct": raw["cache"]?["direct"] ?? false, "no-flush": raw["cache"]?["no-flush"] ?? false],
            "detect-zeroes": raw["detect_zeroes"] ?? "off",
        ]
        options.merge(changes)
        _ = try await monitor(domain, "blockdev-reopen", ["options": [.object(options)]])
    }

    /// QEMU's block nodes by name.
    func blockNodes(_ domain: DomainIdentity) async throws(HypervisorError) -> [String: JSONValue] {
        let nodes = try await monitor(domain, "query-named-block-nodes", ["flat": true]).arrayValue ?? []
        return nodes.reduce(into: [:]) { known, node in
            if let name = node["node-name"]?.stringValue { known[name] = node }
        }
    }

    /// One QMP command; its `return`, or its error thrown.
    func monitor(_ domain: DomainIdentity, _ command: String, _ arguments: JSONValue? = nil) async throws(HypervisorError)
        -> JSONValue
    {
        var object: JSONObject = ["execute": .string(command)]
        if let arguments { object["arguments"] = arguments }
        let text = JSONValue.object(object).serialized()
        let answer = try await writing(domain, "qemuMonitorCommand \(command)") { (domain) throws(LibvirtError) in
            try await domain.monitorCommand(json: text)
        }
        guard let json = try? JSONValue(parsing: answer) else {
            throw HypervisorError(.other, "QEMU answered \(command) with no JSON")
        }
        if let error = json["error"] {
            throw HypervisorError(.other, "QEMU refused \(command): \(error["desc"]?.stringValue ?? "no reason given")")
        }
        return json["return"] ?? .null
    }
}
