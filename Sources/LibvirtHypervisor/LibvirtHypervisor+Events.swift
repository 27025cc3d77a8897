import JSON
import Libvirt
package import VolumeSwap

extension LibvirtHypervisor {
    /// Delivers the domain's events across reconnects; each new connection posts `recheck`, since events may have been missed.
    package func subscribe(_ events: HypervisorEvents, to domain: DomainIdentity) async throws(HypervisorError) {
        // Registered before this returns, so that the events of a job started next cannot be missed.
        let first = try await read("events") { (connection) throws(LibvirtError) in connection }
        guard events.take() else { return }
        let link = link
        let firstEvents = first.events(domainUUID: domain.uuid, limit: 128)
        let forwarding = Task {
            var connection = first
            var subscription = firstEvents
            while !Task.isCancelled {
                for await event in subscription {
                    if let translated = Self.translate(event) { events.post(translated) }
                    if case .disconnected = event { break }
                }
                if Task.isCancelled { return }
                // Otherwise the link may hand out the lost connection again before it notices the loss itself.
                await link.report(broken: connection)
                guard let next = try? await link.connection() else { return }
                connection = next
                subscription = connection.events(domainUUID: domain.uuid, limit: 128)
                events.post(.recheck)
            }
        }
        events.onClose { forwarding.cancel() }
    }

    private static func translate(_ event: LibvirtEvent) -> HypervisorEvent? {
        switch event {
        case .blockJob(_, let disk, _, let status):
            Self.status(status).map { HypervisorEvent.blockJob(disk: disk, status: $0, at: .now) } ?? .recheck
        case .lifecycle(_, .stopped, let detail):
            .stopped(reason: stopReason(detail))
        case .lifecycle(_, .crashed, _):
            .stopped(reason: "the guest crashed")
        case .monitor(_, let name, let details):
            jobError(name, details)
        case .overflow, .disconnected:
            .recheck
        case .lifecycle:
            nil
        }
    }

    private static func status(_ status: Libvirt.BlockJobStatus) -> VolumeSwap.BlockJobStatus? {
        switch status {
        case .ready: .ready
        case .completed: .completed
        case .failed: .failed
        case .canceled: .canceled
        default: nil
        }
    }

    /// The meaning of a `virDomainEventStoppedDetailType`.
    private static func stopReason(_ detail: Int32) -> String {
        let reasons = [
            "shut down by the guest", "destroyed from the host", "QEMU crashed or was killed", HypervisorEvent.migratedAway,
            "saved to a file", "QEMU failed", "reverted to a snapshot",
        ]
        return reasons.indices.contains(Int(detail)) ? reasons[Int(detail)] : "stopped (\(detail))"
    }

    /// QEMU's own reason for a failed copy. libvirt names the job `copy-DISK-NODE`.
    static func jobError(_ name: String, _ details: String) -> HypervisorEvent? {
        guard name == "BLOCK_JOB_COMPLETED" || name == "BLOCK_JOB_ERROR", let data = try? JSONValue(parsing: details),
            let job = data["device"]?.stringValue, job.hasPrefix("copy-")
        else { return nil }
        let disk = String(job.dropFirst(5).prefix { $0 != "-" })
        if name == "BLOCK_JOB_ERROR" {
            return .jobError(disk: disk, message: "\(data["operation"]?.stringValue ?? "I/O") failed")
        }
        return data["error"]?.stringValue.map { .jobError(disk: disk, message: $0) }
    }
}
