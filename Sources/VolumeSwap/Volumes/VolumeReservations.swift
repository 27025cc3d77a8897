import Synchronization

/// Reserves each volume for one task of this process, from the preflight to the outcome.
///
/// libvirt shows a copy's destination only once the copy runs, and QEMU locks only local files: nothing else keeps two
/// simultaneous swaps from writing to one volume.
package final class VolumeReservations: Sendable {
    private let held = Mutex<[TaskID: VolumeIdentity]>([:])

    package init() {}

    /// Reserves a volume in addition to what the task holds.
    ///
    /// - Throws: ``SwapFailure`` of kind `invalidVolume` naming the other task if one of the names is reserved.
    package func reserve(_ identity: VolumeIdentity, for task: TaskID) throws(SwapFailure) {
        if let other = claim(identity, for: task) { throw Self.refusal(other) }
    }

    /// Refuses a volume that a task other than `task` has reserved, without reserving it.
    ///
    /// - Throws: ``SwapFailure`` of kind `invalidVolume` naming the other task.
    package func check(_ identity: VolumeIdentity, except task: TaskID?) throws(SwapFailure) {
        if let other = holder(of: identity, otherThan: task) { throw Self.refusal(other) }
    }

    private static func refusal(_ other: TaskID) -> SwapFailure {
        .invalidVolume("the volume is about to be used or released by another swap: task \(other)", .newVolumeInUse)
    }

    /// Like ``reserve(_:for:)``, without an error.
    ///
    /// - Returns: the other task that holds the volume; nil once it is reserved.
    package func claim(_ identity: VolumeIdentity, for task: TaskID) -> TaskID? {
        held.withLock { held in
            if let other = Self.holder(of: identity, in: held, except: task) { return other }
            held[task] = (held[task] ?? VolumeIdentity()).union(identity)
            return nil
        }
    }

    /// Reserves the volume of a task from before a restart, without checking for conflicts.
    ///
    /// - Parameter ids: the new volume's ids, if known.
    package func keep(_ location: VolumeLocation, ids: [String] = [], for task: TaskID) {
        let identity = VolumeIdentity(text: location).union(VolumeIdentity(ids: ids))
        held.withLock { $0[task] = ($0[task] ?? VolumeIdentity()).union(identity) }
    }

    /// Releases everything that a task holds.
    package func release(_ task: TaskID) { held.withLock { $0[task] = nil } }

    /// The task other than `task` that holds a volume.
    package func holder(of identity: VolumeIdentity, otherThan task: TaskID?) -> TaskID? {
        held.withLock { Self.holder(of: identity, in: $0, except: task) }
    }

    private static func holder(of identity: VolumeIdentity, in held: [TaskID: VolumeIdentity], except task: TaskID?) -> TaskID? {
        held.filter { $0.key != task && $0.value.meets(identity) }.keys.min { $0.text < $1.text }
    }
}
