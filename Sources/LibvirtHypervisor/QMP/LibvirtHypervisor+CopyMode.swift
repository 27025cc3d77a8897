import Libvirt
package import VolumeSwap

extension LibvirtHypervisor {
    /// QEMU's `block-job-change`, which libvirt 11 has no call for.
    ///
    /// - Throws: `unsupported` if QEMU does not know the command or pivotd may not send it, `other` if QEMU refuses it or the copy
    ///   has ended.
    package func makeCopySynchronous(_ domain: DomainIdentity, disk: String) async throws(HypervisorError) {
        guard allowsMonitorCommands else {
            throw HypervisorError(.unsupported, "allow_monitor_commands is false, so QEMU cannot be told to change the copy")
        }
        guard CopyMode.canChange(try await monitor(domain, .queryCommands)) else {
            throw HypervisorError(.unsupported, "this QEMU has no block-job-change, which came with 8.2")
        }
        guard let change = CopyMode.writeBlocking(disk: disk, try await monitor(domain, .queryJobs)) else {
            throw HypervisorError(.other, "QEMU has no running copy of disk \(disk)")
        }
        _ = try await monitor(domain, change)
    }
}
