import Libvirt
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
        guard allowsMonitorCommands, let index = try await live(domain, disk).mirrorIndex else { return }
        if let yank = ForceAbort.yanking(volume: index, try await monitor(domain, .queryYank)) {
            _ = try await monitor(domain, yank)
        }
        guard let cancel = ForceAbort.cancelling(disk: disk, try await monitor(domain, .queryJobs)) else { return }
        do throws(HypervisorError) {
            _ = try await monitor(domain, cancel)
        } catch {
            // It may have ended by itself in between.
            guard error.code == .other, ForceAbort.cancelling(disk: disk, try await monitor(domain, .queryJobs)) == nil else {
                throw error
            }
        }
    }
}
