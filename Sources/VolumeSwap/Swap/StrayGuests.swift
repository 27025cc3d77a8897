import JSON
import Synchronization

/// Guests that may run on a volume while libvirt names a different one, so that no domain's description shows the volume in use.
///
/// A libvirtd that dies during a pivot can lose track of it. If the disk could not be mirrored back either, the swap failed with
/// `in_use` `new` or `unknown`, and until the guest is stopped no other swap may write to that volume.
package final class StrayGuests: Sendable {
    private struct Stray {
        var task: TaskID
        var domain: DomainIdentity
        var disk: String
        var volume: VolumeIdentity
    }

    /// Maximum number remembered; the oldest are dropped first.
    static let limit = 1000

    private let held = Mutex<[Stray]>([])

    package init() {}

    /// Remembers the guest of a task that ended like this.
    func note(_ record: SwapRecord, mountPointBase: String) {
        guard case .failure(let failure)? = record.outcome, failure.inUse == .new || failure.inUse == .unknown,
            let uuid = failure.course?.instanceUUID,
            let connection = try? ConnectionInfo(resuming: record.args["new_connection_info"], argument: "new_connection_info")
        else { return }
        let target = try? connection.target(mountPointBase: mountPointBase, argument: "new_connection_info")
        let ids = [record.args["new_volume_id"]?.stringValue].compactMap { $0 } + connection.volumeIDs
        var volume = VolumeIdentity(ids: ids).union(connection.driver.identity(of: connection))
        if let place = target?.location { volume = volume.union(VolumeIdentity(text: place)) }
        let stray = Stray(task: record.id, domain: DomainIdentity(uuid: uuid, name: uuid), disk: record.disk, volume: volume)
        held.withLock { held in
            if held.count >= Self.limit { held.removeFirst() }
            held.append(stray)
        }
    }

    /// Describes the disk that may use a volume without libvirt's knowledge, for an error. Asks QEMU about each candidate.
    ///
    /// - Throws: ``HypervisorError`` if QEMU or libvirt cannot be asked.
    func use(of volume: VolumeIdentity, _ hypervisor: any Hypervisor) async throws(HypervisorError) -> String? {
        for stray in held.withLock({ $0 }) where stray.volume.meets(volume) {
            if try await mayStillRun(stray, hypervisor) {
                return
                    "disk \(stray.disk) of domain \(stray.domain.uuid), which libvirt believes to be on another volume since "
                    + "the pivot of task \(stray.task)"
            }
            held.withLock { $0.removeAll { $0.task == stray.task } }
        }
        return nil
    }

    private func mayStillRun(_ stray: Stray, _ hypervisor: any Hypervisor) async throws(HypervisorError) -> Bool {
        guard let status = try await hypervisor.statusIfKnown(stray.domain), status.isActive else { return false }
        return try await hypervisor.hasPivotedUnnoticed(stray.domain, disk: stray.disk) != false
    }
}
