import Synchronization

/// Disks that QEMU runs on another volume than libvirt names: no domain's description shows that the volume is in use.
///
/// A libvirtd that dies in a pivot can lose track of it. If the disk cannot be mirrored back either, the swap fails with `in_use`
/// new, and the guest stays on the new volume until it is stopped. Until then no other swap may write to that volume, nor disconnect it.
package final class StrayGuests: Sendable {
    struct Stray: Sendable, CustomStringConvertible {
        var task: TaskID
        /// The domain's UUID.
        var domain: String
        var disk: String
        /// The volume that QEMU uses.
        var volume: VolumeIdentity

        var description: String {
            "disk \(disk) of domain \(domain), which libvirt believes to be on another volume since the pivot of task \(task): "
                + "stop that guest and correct its configuration"
        }
    }

    /// At most this many are remembered; the oldest are dropped first.
    package static let limit = 1000

    private let held = Mutex<[Stray]>([])

    package init() {}

    func note(_ stray: Stray) {
        held.withLock { held in
            held.removeAll { $0.task == stray.task }
            if held.count >= Self.limit { held.removeFirst() }
            held.append(stray)
        }
    }

    /// Finds the disk that uses a volume without libvirt's knowledge. QEMU is asked, and what is over is forgotten.
    ///
    /// - Parameter own: a disk that does not count.
    /// - Throws: ``HypervisorError`` if QEMU or libvirt does not say.
    func user(
        of volume: VolumeIdentity, except own: VolumeUses.Exemption? = nil, _ hypervisor: any Hypervisor
    ) async throws(HypervisorError) -> Stray? {
        for stray in held.withLock({ $0 }) where stray.volume.meets(volume) {
            if let own, own.domain == stray.domain, own.disk == stray.disk { continue }
            if try await isStillThere(stray, hypervisor) { return stray }
            held.withLock { $0.removeAll { $0.task == stray.task } }
        }
        return nil
    }

    private func isStillThere(_ stray: Stray, _ hypervisor: any Hypervisor) async throws(HypervisorError) -> Bool {
        let domain = DomainIdentity(uuid: stray.domain, name: stray.domain)
        guard let status = try await hypervisor.statusIfKnown(domain), status.isActive else { return false }
        // It was QEMU that told of it: where QEMU may not be asked any more, a guest that runs counts.
        return try await hypervisor.hasPivotedUnnoticed(domain, disk: stray.disk) ?? true
    }
}
