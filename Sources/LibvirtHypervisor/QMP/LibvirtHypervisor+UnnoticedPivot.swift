import JSON
import Libvirt
import Logging
package import VolumeSwap

/// Repairs, behind libvirt's back, a disk that QEMU runs on another volume than libvirt describes.
extension LibvirtHypervisor {
    /// Compares `query-block` with the live configuration, twice, a second apart. A node that libvirt has not numbered shows nothing.
    package func hasPivotedUnnoticed(_ domain: DomainIdentity, disk: String) async throws(HypervisorError) -> Bool? {
        guard allowsMonitorCommands, let found = try await running(domain, disk) else { return nil }
        if found.isDescribed { return false }
        // Somebody else may just have pivoted, and libvirt may be about to notice.
        try? await Task.sleep(for: .seconds(1))
        return try await running(domain, disk).map { !$0.isDescribed }
    }

    private func running(_ domain: DomainIdentity, _ disk: String) async throws(HypervisorError) -> RunningNode? {
        let described = try await live(domain, disk)
        let devices = try await monitor(domain, .queryBlock)
        return RunningNode(described, devices: devices, graph: try await graph(domain, described, devices))
    }

    /// What is below the disk's filter; nil if it has none, or QEMU does not say: it may change this command, or drop it.
    private func graph(
        _ domain: DomainIdentity, _ disk: LiveDisk, _ devices: JSONValue
    ) async throws(HypervisorError) -> BlockGraph? {
        guard RunningNode(disk, devices: devices) == nil else { return nil }
        do throws(HypervisorError) {
            return BlockGraph(try await monitor(domain, .queryBlockGraph))
        } catch {
            guard error.code == .other else { throw error }
            return nil
        }
    }

    /// Sends what ``MirrorBack`` returns and waits for the job's next event, until libvirt and QEMU agree.
    ///
    /// - Throws: `other` if the mirror fails or pivotd stops, `unsupported` if the old volume cannot be reopened.
    package func mirrorBack(_ domain: DomainIdentity, disk: String) async throws(HypervisorError) {
        var machine = MirrorBack(disk: disk)
        while true {
            let connection = try await read("events") { (connection) throws(LibvirtError) in connection }
            let events = connection.events(domainUUID: domain.uuid, limit: 64)
            let (described, devices) = (try await live(domain, disk), try await monitor(domain, .queryBlock))
            let sight = MirrorBack.Sight(
                disk: described, devices: devices, graph: try await graph(domain, described, devices),
                jobs: try await monitor(domain, .queryJobs), nodes: BlockNodes(try await monitor(domain, .queryNodes)))
            switch try machine.next(sight) {
            case .send(let commands):
                for command in commands { _ = try await monitor(domain, command) }
            case .agree(let closing):
                return await close(domain, closing)
            case .fail(let dismissal, let error):
                _ = try await monitor(domain, dismissal)
                throw error
            }
            await wait(for: machine.job, in: events)
            if Task.isCancelled { throw HypervisorError(.other, "pivotd is stopping") }
        }
    }

    private func close(_ domain: DomainIdentity, _ commands: [QMPCommand]) async {
        for command in commands {
            do throws(HypervisorError) {
                _ = try await monitor(domain, command)
            } catch {
                logger.warning("the new volume stays open in QEMU: \(error)")
            }
        }
    }

    /// Returns at the job's next event, when no more events can come, or after a second in case one was lost.
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
}
