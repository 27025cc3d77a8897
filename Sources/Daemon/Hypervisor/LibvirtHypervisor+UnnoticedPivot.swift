import JSON
import Libvirt
import Logging
package import VolumeSwap

/// What to do about a libvirt whose configuration of a disk is not what QEMU runs: QEMU is asked and told, past libvirt.
extension LibvirtHypervisor {
    package func hasPivotedUnnoticed(_ domain: DomainIdentity, disk: String) async throws(HypervisorError) -> Bool? {
        guard allowsMonitorCommands else { return nil }
        guard let found = try await running(domain, disk: disk), !found.isDescribed else { return false }
        // Somebody else's pivot may have come a moment ago, and libvirt be about to note it.
        try? await Task.sleep(for: .seconds(1))
        return try await running(domain, disk: disk).map { !$0.isDescribed } ?? false
    }

    package func mirrorBack(_ domain: DomainIdentity, disk: String) async throws(HypervisorError) {
        var strayed: RunningNode?
        var looks = 0
        while true {
            let connection = try await read("events") { (connection) throws(LibvirtError) in connection }
            let events = connection.events(domainUUID: domain.uuid, limit: 64)
            guard let found = try await running(domain, disk: disk) else {
                throw HypervisorError(.other, "QEMU does not tell the node of disk \(disk)")
            }
            // libvirt's own name for the disk's copy: where it still waits for that one's end, this end lets it forget the <mirror>.
            let name = "copy-\(disk)-\(found.describedNode)"
            let job = try await monitor(domain, "query-jobs").arrayValue?.first { $0["id"]?.stringValue == name }
            switch (found.isDescribed, job?["status"]?.stringValue) {
            case (true, nil):
                if let strayed { try await close(domain, strayed) }
                return
            case (true, "concluded"):
                looks += 1
                let live = try await description(domain, .live)
                if live.disk(disk)?.mirror == nil || looks > 2 { try await dismiss(domain, name) }
            case (false, nil):
                try await openDescribed(domain, disk: disk, found)
                _ = try await monitor(
                    domain, "blockdev-mirror",
                    [
                        "job-id": .string(name), "device": .string(found.node), "target": .string(found.describedNode),
                        "sync": "full",
                        "auto-dismiss": false,
                    ])
            case (false, "ready"):
                _ = try await monitor(domain, "job-complete", ["id": .string(name)])
            case (false, "concluded"):
                try await dismiss(domain, name)
                throw HypervisorError(.other, "the mirror back failed: \(job?["error"]?.stringValue ?? "QEMU gave no reason")")
            default: break
            }
            if !found.isDescribed { strayed = found }
            await wait(for: name, in: events)
            if Task.isCancelled { throw HypervisorError(.other, "pivotd is stopping") }
        }
    }

    private func dismiss(_ domain: DomainIdentity, _ job: String) async throws(HypervisorError) {
        _ = try await monitor(domain, "job-dismiss", ["id": .string(job)])
    }

    /// Returns at the job's next event, when there can be no more events, or after a second in case one was lost.
    private func wait(for job: String, in events: LibvirtEvents) async {
        await withTaskGroup { group in
            group.addTask { await Self.event(of: job, in: events) }
            group.addTask { _ = try? await Task.sleep(for: .seconds(1)) }
            await group.next()
            group.cancelAll()
        }
    }

    private static func event(of job: String, in events: LibvirtEvents) async {
        for await event in events {
            switch event {
            case .monitor(_, _, let details):
                guard let data = try? JSONValue(parsing: details), data["device"]?.stringValue == job else { continue }
                return
            case .blockJob, .lifecycle, .overflow, .disconnected: return
            }
        }
    }

    /// A disk's node as QEMU runs it, and as libvirt describes it.
    private struct RunningNode {
        var node: String
        /// N of `libvirt-N-format`.
        var index: String
        var described: String

        var isDescribed: Bool { index == described }
        var describedNode: String { "libvirt-\(described)\(node.dropFirst("libvirt-\(index)".count))" }
    }

    /// - Returns: nil when either side's node has no number of libvirt's.
    private func running(_ domain: DomainIdentity, disk: String) async throws(HypervisorError) -> RunningNode? {
        let live = try await xml(domain, .live)
        guard let described = NodeIndex.source(in: live, disk: disk), let alias = NodeIndex.alias(in: live, disk: disk) else {
            return nil
        }
        let devices = try await monitor(domain, "query-block").arrayValue ?? []
        let device = devices.first { $0["qdev"]?.stringValue?.split(separator: "/").contains(Substring(alias)) == true }
        guard let node = device?["inserted"]?["node-name"]?.stringValue else { return nil }
        let parts = node.split(separator: "-")
        guard parts.count == 3, parts[0] == "libvirt", Int(parts[1]) != nil else { return nil }
        return RunningNode(node: node, index: String(parts[1]), described: described)
    }

    /// Sees to it that the node which libvirt describes is open: libvirt may have closed it before it died.
    private func openDescribed(_ domain: DomainIdentity, disk: String, _ found: RunningNode) async throws(HypervisorError) {
        let nodes = try await blockNodes(domain)
        if nodes[found.describedNode] != nil { return }
        let running = nodes[found.node]
        let cache: JSONValue = [
            "direct": running?["cache"]?["direct"] ?? false, "no-flush": running?["cache"]?["no-flush"] ?? false,
        ]
        let storage = "libvirt-\(found.described)-storage"
        if nodes[storage] == nil {
            let live = try await description(domain, .live).disk(disk)
            let driver: JSONValue
            switch (live?.format, live?.location) {
            case ("raw", .file): driver = "file"
            case ("raw", .block): driver = "host_device"
            default:
                throw HypervisorError(
                    .unsupported, "libvirt has closed the old volume, and only a raw file or block device is opened again")
            }
            guard let path = live?.location?.path else { return }
            try await open(
                domain,
                [
                    "driver": driver, "node-name": .string(storage), "filename": .string(path), "cache": cache,
                    "auto-read-only": true, "discard": "unmap",
                ])
        }
        guard running?["drv"]?.stringValue == "raw" else {
            throw HypervisorError(.unsupported, "libvirt has closed the old volume, and the new one is not raw")
        }
        try await open(
            domain,
            [
                "driver": "raw", "node-name": .string(found.describedNode), "file": .string(storage), "cache": cache,
                "discard": "unmap",
            ])
    }

    private func open(_ domain: DomainIdentity, _ options: JSONObject) async throws(HypervisorError) {
        _ = try await monitor(domain, "blockdev-add", .object(options))
    }

    /// Closes the nodes that libvirt does not know of, the uppermost first.
    private func close(_ domain: DomainIdentity, _ found: RunningNode) async throws(HypervisorError) {
        let nodes = try await blockNodes(domain)
        for name in ["format", "slice-sto", "storage"].map({ "libvirt-\(found.index)-\($0)" }) where nodes[name] != nil {
            do throws(HypervisorError) {
                _ = try await monitor(domain, "blockdev-del", ["node-name": .string(name)])
            } catch {
                logger.warning("the new volume stays open in QEMU: \(error)")
            }
        }
    }
}
