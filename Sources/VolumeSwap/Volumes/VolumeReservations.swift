import Synchronization

/// Which task is about to use which volume: one volume for one task, in this process, from the preflight to the outcome.
///
/// libvirt shows a copy's destination only once the copy runs, and QEMU locks local files alone: nothing else keeps two swaps, asked
/// for at the same time, from writing one volume.
package final class VolumeReservations: Sendable {
    private let held = Mutex<[TaskID: VolumeIdentity]>([:])

    package init() {}

    /// Adds to what a task holds.
    ///
    /// - Throws: ``SwapFailure`` of kind `invalidVolume` that names the other task, when one of the names is another task's; nothing is
    ///   added then.
    package func reserve(_ identity: VolumeIdentity, for task: TaskID) throws(SwapFailure) {
        if let other = claim(identity, for: task) {
            throw .invalidVolume(
                "the volume is about to be used, or to be let go of, by another swap: task \(other)", .newVolumeInUse)
        }
    }

    /// As ``reserve(_:for:)``.
    ///
    /// - Returns: the other task.
    package func claim(_ identity: VolumeIdentity, for task: TaskID) -> TaskID? {
        held.withLock { held in
            if let other = Self.holder(of: identity, in: held, except: task) { return other }
            held[task] = (held[task] ?? VolumeIdentity()).union(identity)
            return nil
        }
    }

    /// Holds what a task from before a restart was about to use, or uses. It was that task's then, so that nobody is asked.
    ///
    /// - Parameter ids: the new volume's ids, where they are known.
    package func keep(_ location: VolumeLocation, ids: [String] = [], for task: TaskID) {
        let identity = VolumeIdentity(text: location).union(VolumeIdentity(ids: ids))
        held.withLock { $0[task] = ($0[task] ?? VolumeIdentity()).union(identity) }
    }

    /// Gives up all that a task holds.
    package func release(_ task: TaskID) { held.withLock { $0[task] = nil } }

    /// The task, other than `task`, that holds a volume.
    package func holder(of identity: VolumeIdentity, otherThan task: TaskID?) -> TaskID? {
        held.withLock { Self.holder(of: identity, in: $0, except: task) }
    }

    private static func holder(of identity: VolumeIdentity, in held: [TaskID: VolumeIdentity], except task: TaskID?) -> TaskID? {
        held.filter { $0.key != task && $0.value.meets(identity) }.keys.min { $0.text < $1.text }
    }
}
