import Synchronization

/// Keeps each volume for one task of this process, from the task's acceptance to its outcome.
///
/// libvirt shows a copy's destination only once the copy runs, and QEMU locks only local files: nothing else keeps two
/// simultaneous swaps from writing to one volume.
///
/// An accepted task *intends* to use its new volume, under the names that its request gives; tasks accepted later are refused it.
/// At its turn it *reserves* the volume under all names that the host knows, and then every other task is refused it.
package final class VolumeReservations: Sendable {
    private struct Names {
        private var names: [TaskID: Set<VolumeIdentity.Name>] = [:]
        /// Almost always one task for each name.
        private var tasks: [VolumeIdentity.Name: [TaskID]] = [:]

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

        func tasks(naming identity: VolumeIdentity) -> some Sequence<TaskID> {
            identity.names.lazy.flatMap { tasks[$0] ?? [] }
        }
    }

    private struct State {
        var reserved = Names()
        var intended = Names()
        /// The tasks' numbers in the order of their acceptance.
        var numbers: [TaskID: UInt64] = [:]

        /// The task that a task has to leave the volume to: one that has reserved it, or was accepted earlier and intends to
        /// use it.
        func rival(of task: TaskID, for identity: VolumeIdentity) -> TaskID? {
            let own = numbers[task] ?? .max
            return first(reserved.tasks(naming: identity).filter { $0 != task })
                ?? first(intended.tasks(naming: identity).filter { $0 != task && number($0) < own })
        }

        /// The task that has reserved the volume, or intends to use it.
        func holder(of identity: VolumeIdentity, except exempt: Set<TaskID>) -> TaskID? {
            first(reserved.tasks(naming: identity).filter { !exempt.contains($0) })
                ?? first(intended.tasks(naming: identity).filter { !exempt.contains($0) })
        }

        private func number(_ task: TaskID) -> UInt64 { numbers[task] ?? .max }

        private func first(_ tasks: some Sequence<TaskID>) -> TaskID? {
            tasks.min { (number($0), $0.text) < (number($1), $1.text) }
        }
    }

    private let state = Mutex(State())

    package init() {}

    /// Notes which volume an accepted task will reserve at its turn.
    ///
    /// - Parameters:
    ///   - identity: what the request itself says of the volume.
    ///   - number: the task's place in the order of acceptance.
    package func intend(_ identity: VolumeIdentity, for task: TaskID, number: UInt64) {
        state.withLock { state in
            state.numbers[task] = number
            state.intended.add(identity, task)
        }
    }

    /// Reserves a volume in addition to what the task holds.
    ///
    /// - Throws: ``SwapFailure`` of kind `invalidVolume` naming the other task if one of the names is reserved, or if a task that
    ///   was accepted earlier intends to use it.
    package func reserve(_ identity: VolumeIdentity, for task: TaskID) throws(SwapFailure) {
        if let other = claim(identity, for: task) { throw Self.refusal(other) }
    }

    /// Refuses a volume that a task other than these has reserved or intends to use, without reserving it.
    ///
    /// - Throws: ``SwapFailure`` of kind `invalidVolume` naming the other task.
    package func check(_ identity: VolumeIdentity, except tasks: Set<TaskID>) throws(SwapFailure) {
        if let other = state.withLock({ $0.holder(of: identity, except: tasks) }) { throw Self.refusal(other) }
    }

    private static func refusal(_ other: TaskID) -> SwapFailure {
        .invalidVolume("the volume is about to be used or released by another swap: task \(other)", .newVolumeInUse)
    }

    /// Like ``reserve(_:for:)``, without an error.
    ///
    /// - Returns: the other task that the volume is left to; nil once it is reserved.
    package func claim(_ identity: VolumeIdentity, for task: TaskID) -> TaskID? {
        state.withLock { state in
            if let other = state.rival(of: task, for: identity) { return other }
            state.reserved.add(identity, task)
            return nil
        }
    }

    /// Reserves a volume that the task has left and is about to disconnect, unless any other task intends to use it.
    ///
    /// - Returns: that other task, also if it was accepted later; nil once the volume is reserved.
    package func claimToDisconnect(_ identity: VolumeIdentity, for task: TaskID) -> TaskID? {
        state.withLock { state in
            if let other = state.holder(of: identity, except: [task]) { return other }
            state.reserved.add(identity, task)
            return nil
        }
    }

    /// Reserves the volume of a task from before a restart, without checking for conflicts.
    ///
    /// - Parameter ids: the new volume's ids, if known.
    package func keep(_ location: VolumeLocation, ids: [String] = [], for task: TaskID) {
        let identity = VolumeIdentity(text: location).union(VolumeIdentity(ids: ids))
        state.withLock { $0.reserved.add(identity, task) }
    }

    /// Releases everything that a task holds or intends to use.
    package func release(_ task: TaskID) {
        state.withLock { state in
            state.reserved.remove(task)
            state.intended.remove(task)
            state.numbers[task] = nil
        }
    }

    /// The task other than `task` that holds a volume or intends to use it.
    package func holder(of identity: VolumeIdentity, otherThan task: TaskID?) -> TaskID? {
        state.withLock { $0.holder(of: identity, except: task.map { [$0] } ?? []) }
    }
}
