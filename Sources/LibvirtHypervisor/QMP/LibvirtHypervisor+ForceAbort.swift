import Libvirt
package import VolumeSwap

extension LibvirtHypervisor {
    /// Breaks the copy's connection to an nbd destination (`yank`), then force-cancels the job.
    ///
    /// libvirt's own cancel does not use force: a ready copy must get in sync once more, which a busy guest on slow storage can
    /// postpone forever. With force such a job ends at once, except while requests hang in the destination. For an nbd server
    /// that does not respond, `yank` ends those: the job fails or is cancelled, and the guest continues on the old volume, even
    /// if a pivot was waiting for the server's flush. QEMU has no such way out for a hung NFS or LUN.
    ///
    /// The order matters. A job without an outstanding request ends at once, and QEMU flushes the destination as it closes it: a
    /// server that does not respond then stops the whole guest, unless its socket was broken first.
    package func forceAbort(_ domain: DomainIdentity, disk: String) async throws(HypervisorError) {
        guard allowsMonitorCommands, let index = try await live(domain, disk).mirrorIndex else { return }
        if let yank = ForceAbort.yanking(volume: index, try await monitor(domain, .queryYank)) {
            _ = try await monitor(domain, yank)
        }
        guard let cancel = ForceAbort.cancelling(disk: disk, try await monitor(domain, .queryJobs)) else { return }
        do throws(HypervisorError) {
            _ = try await monitor(domain, cancel)
        } catch {
            // It may have ended by itself meanwhile.
            guard error.code == .other, ForceAbort.cancelling(disk: disk, try await monitor(domain, .queryJobs)) == nil else {
                throw error
            }
        }
    }
}
