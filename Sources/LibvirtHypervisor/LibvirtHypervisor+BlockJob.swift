import Libvirt
package import VolumeSwap

extension LibvirtHypervisor {
    /// `virDomainBlockRebase`; takes as long as opening the new volume takes.
    package func blockRebase(_ domain: DomainIdentity, disk: String, _ copy: RebaseCopy) async throws(HypervisorError) {
        try await writing(domain, "blockRebase", within: Self.startLimit) { (domain) throws(LibvirtError) in
            try await domain.blockRebase(
                disk: disk, path: copy.path, bandwidth: Self.optional(copy.bandwidth), isBlockDevice: copy.isBlockDevice,
                isRaw: copy.isRaw)
        }
    }

    /// `virDomainBlockCopy`; takes as long as opening the new volume takes.
    package func blockCopy(_ domain: DomainIdentity, disk: String, _ copy: BlockCopy) async throws(HypervisorError) {
        let xml: String
        do {
            xml = try DomainXML.destination(copy.destination, sliceBytes: copy.sliceBytes)
        } catch {
            throw HypervisorError(.other, error.reason)
        }
        try await writing(domain, "blockCopy", within: Self.startLimit) { (domain) throws(LibvirtError) in
            try await domain.blockCopy(
                disk: disk, destinationXML: xml, bandwidth: Self.optional(copy.bandwidth),
                granularity: Self.optional(copy.granularity).map(UInt32.init(clamping:)),
                bufferSize: Self.optional(copy.bufferSize), synchronousWrites: copy.synchronousWrites)
        }
    }

    /// `virDomainGetBlockJobInfo`
    package func blockJobInfo(_ domain: DomainIdentity, disk: String) async throws(HypervisorError) -> VolumeSwap.BlockJobInfo? {
        let info = try await asking(domain, "blockJobInfo") { (domain) throws(LibvirtError) in
            try await domain.blockJobInfo(disk: disk)
        }
        return info.map {
            VolumeSwap.BlockJobInfo(
                type: $0.type.rawValue, cursor: Int64(clamping: $0.cursor), end: Int64(clamping: $0.end),
                bandwidth: Int64(clamping: $0.bandwidth))
        }
    }

    /// `virDomainBlockJobAbort` with ASYNC: requests the end of the copy; an event reports when it has ended.
    ///
    /// Without ASYNC the call would hold the domain's job lock until QEMU is done. Even with it, libvirt waits where QEMU does:
    /// before a pivot it adds a bitmap to the destination, for which QEMU drains the disk. If writes hang in the destination, the
    /// call does not return, the guest stands still and the live configuration keeps saying `ready='yes'`. If libvirtd is
    /// restarted in that state, it kills the guest once QEMU responds again.
    package func blockJobAbort(_ domain: DomainIdentity, disk: String, pivot: Bool) async throws(HypervisorError) {
        // Never request a pivot from a libvirtd restarted since the copy was seen: it crashes if it has forgotten the
        // destination.
        if pivot, !link.isConnected { throw HypervisorError(.connectionLost, "there is no connection to libvirt") }
        try await writing(domain, "blockJobAbort") { (domain) throws(LibvirtError) in
            try await domain.blockJobAbort(disk: disk, pivot: pivot)
        }
    }

    /// `virDomainBlockJobSetSpeed`
    package func blockJobSetSpeed(_ domain: DomainIdentity, disk: String, bytesPerSecond: Int64) async throws(HypervisorError) {
        try await writing(domain, "blockJobSetSpeed") { (domain) throws(LibvirtError) in
            try await domain.blockJobSetSpeed(disk: disk, bytesPerSecond: UInt64(clamping: bytesPerSecond))
        }
    }

    private static func optional(_ value: Int64) -> UInt64? { value > 0 ? UInt64(value) : nil }
}
