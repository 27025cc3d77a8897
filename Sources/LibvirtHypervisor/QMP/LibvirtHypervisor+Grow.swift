import JSON
import Libvirt
package import VolumeSwap

extension LibvirtHypervisor {
    /// Growing needs monitor commands and `blockdev-reopen`.
    ///
    /// A domain's own QEMU is asked, which may be older than the installed one.
    package func growSupport(of domain: DomainIdentity) async throws(HypervisorError) -> GrowSupport {
        guard allowsMonitorCommands else { return .withoutMonitor }
        let commands = try await monitor(domain, .queryCommands)
        return QMPCommand.isKnown("blockdev-reopen", in: commands) ? .supported : .withoutReopen
    }

    /// The image size of the mirror's storage node; nil without a running job.
    package func mirrorCapacity(_ domain: DomainIdentity, disk: String) async throws(HypervisorError) -> Int64? {
        guard allowsMonitorCommands else { return nil }
        let nodes = BlockNodes(try await monitor(domain, .queryNodes))
        guard try await monitor(domain, .queryBlockJobs).arrayValue?.isEmpty == false,
            let index = try await live(domain, disk).mirrorIndex
        else { return nil }
        return nodes.bytes(ofVolume: index)
    }

    /// Drops the window onto the volume (`blockdev-reopen`), then `virDomainBlockResize`. libvirt 10 and later refuse that for an
    /// encrypted volume with a window; QEMU is asked itself then, which informs the guest just the same.
    package func grow(_ domain: DomainIdentity, disk: String, toBytes bytes: Int64) async throws(HypervisorError) {
        // Without the window QEMU reports the volume's full size, but only the resize informs the guest.
        if try await !live(domain, disk).hasSlice, try await capacity(domain, disk: disk) >= bytes { return }
        _ = try await dropSlice(domain, disk: disk)
        do throws(HypervisorError) {
            try await writing(domain, "blockResize") { (domain) throws(LibvirtError) in
                try await domain.blockResize(disk: disk, bytes: UInt64(clamping: bytes))
            }
        } catch {
            guard error.code == .unsupported, allowsMonitorCommands,
                let running = RunningNode(try await live(domain, disk), devices: try await monitor(domain, .queryBlock)),
                running.isDescribed
            else { throw error }
            _ = try await monitor(
                domain, QMPCommand("block_resize", ["node-name": .string(running.node), "size": .integer(bytes)]))
        }
    }

    /// - Throws: `unsupported` before QEMU 7.0, without the monitor, or if the copy has no raw node.
    package func unmapZeroes(_ domain: DomainIdentity, disk: String, sliceBytes: Int64?) async throws(HypervisorError) {
        if case .unsupported(let why) = try await growSupport(of: domain) { throw HypervisorError(.unsupported, why) }
        let described = try await live(domain, disk)
        guard let index = described.mirrorIndex else {
            throw HypervisorError(.other, "libvirt does not report the node of the copy of disk \(disk)")
        }
        var changes: JSONObject = ["discard": "unmap", "detect-zeroes": "unmap"]
        if let sliceBytes {
            changes["offset"] = 0
            changes["size"] = .integer(sliceBytes)
        }
        try await reopen(domain, index, changes, aio: described.aio)
    }

    package func restoreZeroHandling(_ domain: DomainIdentity, disk: String) async throws(HypervisorError) {
        guard allowsMonitorCommands else { return }  // nothing was changed
        let described = try await live(domain, disk)
        guard let index = described.index else { throw Self.noNode(of: disk) }
        let nodes = BlockNodes(try await monitor(domain, .queryNodes))
        guard let node = nodes.reopenable(volume: index), node["detect_zeroes"] != described.zeroHandling["detect-zeroes"] else {
            return
        }
        _ = try await monitor(domain, try nodes.reopening(volume: index, described.zeroHandling, aio: described.aio))
    }

    private static func noNode(of disk: String) -> HypervisorError {
        HypervisorError(.other, "libvirt does not report the node of disk \(disk)")
    }

    /// libvirt before 10.0 keeps `<slices>` in the live configuration no matter what (on 9.0 neither `virDomainUpdateDeviceFlags`
    /// nor restarting libvirtd helps); from 10.0 on `virDomainBlockResize` drops those of a raw volume. Nothing else does, so they stay if
    /// ``grow(_:disk:toBytes:)`` was not asked for, had QEMU resize an encrypted volume, or was refused.
    package func dropSlice(_ domain: DomainIdentity, disk: String) async throws(HypervisorError) -> Bool {
        let before = try await live(domain, disk)
        guard before.hasSlice else { return false }
        if case .unsupported(let why) = try await growSupport(of: domain) { throw HypervisorError(.unsupported, why) }
        guard let index = before.index else { throw Self.noNode(of: disk) }
        // A copy without zeroes has changed these: QEMU takes no `unmap` of zeroes without that of discards.
        try await reopen(domain, index, before.zeroHandling, aio: before.aio)
        return try await live(domain, disk).hasSlice
    }

    private func reopen(
        _ domain: DomainIdentity, _ index: String, _ changes: JSONObject, aio: String?
    ) async throws(HypervisorError) {
        let nodes = BlockNodes(try await monitor(domain, .queryNodes))
        _ = try await monitor(domain, try nodes.reopening(volume: index, changes, aio: aio))
    }

    /// The disk as libvirt describes it now.
    func live(_ domain: DomainIdentity, _ disk: String) async throws(HypervisorError) -> LiveDisk {
        LiveDisk(disk, in: try await xml(domain, .live))
    }

    /// `virDomainQemuMonitorCommand`
    ///
    /// - Returns: QEMU's `return` value.
    /// - Throws: `other` if QEMU refuses the command.
    func monitor(
        _ domain: DomainIdentity, _ command: QMPCommand, within limit: Duration = callLimit
    ) async throws(HypervisorError) -> JSONValue {
        let answer = try await writing(domain, "qemuMonitorCommand \(command.name)", within: limit) {
            (domain) throws(LibvirtError) in
            try await domain.monitorCommand(json: command.text)
        }
        return try command.result(of: answer)
    }
}
