import Libvirt
package import VolumeSwap

extension LibvirtHypervisor {
    /// QEMU's `block-job-change`, which libvirt 11 has no call for.
    ///
    /// - Throws: `unsupported` if QEMU does not know the command, could abort after it, or pivotd may not send it, `other` if QEMU refuses
    ///   it or the copy has ended.
    package func makeCopySynchronous(_ domain: DomainIdentity, disk: String) async throws(HypervisorError) {
        guard allowsMonitorCommands else {
            throw HypervisorError(.unsupported, "allow_monitor_commands is false, so QEMU cannot be told to change the copy")
        }
        guard CopyMode.canChange(try await monitor(domain, .queryCommands)) else {
            throw HypervisorError(.unsupported, "this QEMU has no block-job-change, which came with 8.2")
        }
        if let obstacle = try await obstacleToWriteBlocking(domain) { throw HypervisorError(.unsupported, obstacle) }
        guard let change = CopyMode.writeBlocking(disk: disk, try await monitor(domain, .queryJobs)) else {
            throw HypervisorError(.other, "QEMU has no running copy of disk \(disk)")
        }
        _ = try await monitor(domain, change)
    }

    package func obstacleToSynchronousWrites(of domain: DomainIdentity) async throws(HypervisorError) -> String? {
        guard try await libvirtHas(.synchronousWrites) else { return "this libvirt has no synchronous writes" }
        return try await obstacleToWriteBlocking(domain)
    }

    /// Asks the domain's own QEMU, which may be older than the installed one; goes by the latter's version without the monitor.
    private func obstacleToWriteBlocking(_ domain: DomainIdentity) async throws(HypervisorError) -> String? {
        let isSafe: Bool
        if allowsMonitorCommands {
            isSafe = CopyMode.isSafe(try await monitor(domain, .queryVersion))
        } else {
            let installed = try await read("getVersion") { (connection) throws(LibvirtError) in
                try await connection.hypervisorVersion()
            }
            isSafe = HypervisorFeature.writeBlocking.isIn(installed)
        }
        return isSafe ? nil : "QEMU 10.1 and 10.2 can abort, and the guest with it, while the guest's writes go to both volumes"
    }
}
