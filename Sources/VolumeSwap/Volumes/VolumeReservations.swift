import Synchronization

/// Reserves each volume for one task of this process, from the preflight to the outcome.
///
/// libvirt shows a copy's destination only once the copy runs, and QEMU locks only local files: nothing else keeps two
/// simultaneous swaps from writing to one volume.
package final class VolumeReservations: Sendable {
    private struct Held {
        var names: [TaskID: Set<VolumeIdentity.Name>] = [:]
        /// Almost always one task for each name.
        var tasks: [VolumeIdentity.Name: [TaskID]] = [:]

        mutating func add(_ identity: VolumeIdentity, _ task: TaskID) {
            for name in identity.names where names[task, default: []].insert(name).inserted {
                tasks[name, default: []].append(task)
            }
        }

        mutating func remove(_ task: TaskID) {
            for name in names.removeValue(forKey: task) ?? [] {
                tasks[name]?.removeAll { $0 == task }
                if tasks[name]?.isEmpty == true { tasks[name] = nil }
            }
        }

        func holder(of identity: VolumeIdentity, otherThan task: TaskID?) -> TaskID? {
            identity.names.lazy.flatMap { tasks[$0] ?? [] }.filter { $0 != task }.min { $0.text < $1.text }
        }
    }

    private let held = Mutex(Held())

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
            if let other = held.holder(of: identity, otherThan: task) { return other }
            held.add(identity, task)
            return nil
        }
    }

    /// Reserves the volume of a task from before a restart, without checking for conflicts.
    ///
    /// - Parameter ids: the new volume's ids, if known.
    package func keep(_ location: VolumeLocation, ids: [String] = [], for task: TaskID) {
        let identity = VolumeIdentity(text: location).union(VolumeIdentity(ids: ids))
        held.withLock { $0.add(identity, task) }
    }

    /// Releases everything that a task holds.
    package func release(_ task: TaskID) { held.withLock { $0.remove(task) } }

    /// The task other than `task` that holds a volume.
    package func holder(of identity: VolumeIdentity, otherThan task: TaskID?) -> TaskID? {
        held.withLock { $0.holder(of: identity, otherThan: task) }
    }
}
