import JSON
import Libvirt
import Logging
package import VolumeSwap

extension LibvirtHypervisor {
    /// Breaks the copy's way to an nbd destination (`yank`), then cancels the job with force.
    ///
    /// libvirt's own cancel has no force: a copy that is ready has to come in step once more, which a busy guest over slow storage puts
    /// off for good. With force such a job ends at once, but not while requests hang in the destination. For an nbd server that
    /// does not answer, `yank` ends them: the job fails or is cancelled, and the guest goes on with the old volume, even when a pivot
    /// was waiting for the server's flush. QEMU has no such way out of a hung NFS or LUN.
    ///
    /// The order matters. A job without a request under way ends at once, and QEMU flushes the destination as it closes it: a server that
    /// does not answer then stops the whole guest, unless its socket was broken before.
    package func forceAbort(_ domain: DomainIdentity, disk: String) async throws(HypervisorError) {
        guard allowsMonitorCommands, let index = NodeIndex.mirror(in: try await xml(domain, .live), disk: disk) else { return }
        let instances = try await monitor(domain, "query-yank").arrayValue ?? []
        let storage = "libvirt-\(index)-storage"
        if let destination = instances.first(where: { $0["node-name"]?.stringValue == storage }) {
            _ = try await monitor(domain, "yank", ["instances": [destination]])
        }
        guard let job = try await copyJob(domain, disk: disk) else { return }
        do throws(HypervisorError) {
            _ = try await monitor(domain, "block-job-cancel", ["device": .string(job), "force": true])
        } catch {
            // It may have ended by itself in between.
            guard error.code == .other, try await copyJob(domain, disk: disk) == nil else { throw error }
        }
    }

    /// QEMU's name of libvirt's copy of a disk; nil when there is none, or it has ended and libvirt only has to take note.
    private func copyJob(_ domain: DomainIdentity, disk: String) async throws(HypervisorError) -> String? {
        let ended = ["concluded", "aborting", "null"]
        let jobs = try await monitor(domain, "query-jobs").arrayValue ?? []
        let job = jobs.first { $0["id"]?.stringValue?.hasPrefix("copy-\(disk)-") == true }
        guard let job, let status = job["status"]?.stringValue, !ended.contains(status) else { return nil }
        return job["id"]?.stringValue
    }
}
