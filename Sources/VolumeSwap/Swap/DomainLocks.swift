import Basics
import Synchronization

/// Locks that admit one task at a time per domain, whatever names their requests use. Waiters are served in order.
package final class DomainLocks: Sendable {
    private struct State {
        /// The task that holds each domain, and the tasks waiting for it.
        var holders: [String: TaskID] = [:]
        /// The disks on which tasks hold a copy without their domain, by domain and disk.
        var held: [String: TaskID] = [:]
        var waiters: [String: [(task: TaskID, waiter: Waiter<Bool>)]] = [:]
        /// The tasks that get a domain before all others.
        var heirs: [String: [TaskID]] = [:]

        func mayHave(_ uuid: String, _ task: TaskID) -> Bool { heirs[uuid]?.contains(task) ?? true }
        /// UUIDs of domains that were requested by name.
        var names: [String: String] = [:]
    }

    /// Maximum number of remembered names; beyond it all are forgotten and learned anew.
    private static let namesInMemory = 10_000

    private let state = Mutex(State())

    package init() {}

    /// Gives a domain to a task that began work on it before a restart.
    func take(_ uuid: String, for task: TaskID) { state.withLock { $0.holders[uuid] = $0.holders[uuid] ?? task } }

    /// The task that holds the domain.
    func holder(of uuid: String) -> TaskID? { state.withLock { $0.holders[uuid] } }

    func isHeld(_ uuid: String, byOtherThan task: TaskID) -> Bool { state.withLock { ($0.holders[uuid] ?? task) != task } }

    /// Waits until the task holds the domain; returns at once if it already does.
    ///
    /// - Throws: `CancellationError` if the waiting task is cancelled.
    func acquire(_ uuid: String, for task: TaskID) async throws {
        let waiter = state.withLock { state -> Waiter<Bool> in
            if state.holders[uuid] == task || (state.holders[uuid] == nil && state.mayHave(uuid, task)) {
                state.holders[uuid] = task
                return Waiter(true)
            }
            let waiter = Waiter<Bool>()
            state.waiters[uuid, default: []].append((task, waiter))
            return waiter
        }
        guard await waiter.value(ifCancelled: false) else { throw CancellationError() }
    }

    /// Lets these tasks have the holder's domain after it, in the order in which they want it, before all others. A task's claim ends
    /// when it releases the domain, whether it has had it or not.
    func passOn(_ uuid: String, from holder: TaskID, to heirs: [TaskID]) {
        state.withLock { state in
            guard state.holders[uuid] == holder else { return }
            state.heirs[uuid] = heirs
        }
    }

    /// Releases the task's domain while its copy stays on the disk, in step.
    func hold(_ uuid: String, disk: String, for task: TaskID) {
        state.withLock { state in
            Self.release(task, &state)
            state.held["\(uuid)/\(disk)"] = task
        }
    }

    /// The task that holds a copy on a disk.
    func holder(of disk: String, of uuid: String) -> TaskID? { state.withLock { $0.held["\(uuid)/\(disk)"] } }

    /// Releases the task's domain to the next waiter, and the disk that it holds.
    func release(_ task: TaskID) { state.withLock { Self.release(task, &$0) } }

    private static func release(_ task: TaskID, _ state: inout State) {
        for (disk, holder) in state.held where holder == task { state.held[disk] = nil }
        for uuid in Array(state.heirs.keys) {
            state.heirs[uuid]?.removeAll { $0 == task }
            guard state.heirs[uuid]?.isEmpty == true else { continue }
            state.heirs[uuid] = nil
            if state.holders[uuid] == nil { serve(uuid, &state) }
        }
        for uuid in state.holders.filter({ $0.value == task }).map(\.key).sorted() {
            state.holders[uuid] = nil
            serve(uuid, &state)
        }
    }

    /// Gives a free domain to the next that waits for it and may have it.
    private static func serve(_ uuid: String, _ state: inout State) {
        var waiters = state.waiters.removeValue(forKey: uuid) ?? []
        while let index = waiters.firstIndex(where: { state.mayHave(uuid, $0.task) }) {
            let next = waiters.remove(at: index)
            guard next.waiter.resume(true) else { continue }
            state.holders[uuid] = next.task
            break
        }
        if !waiters.isEmpty { state.waiters[uuid] = waiters }
    }

    /// Number of tasks waiting for a domain.
    func waiting(_ uuid: String) -> Int { state.withLock { $0.waiters[uuid]?.count { !$0.waiter.isResumed } ?? 0 } }

    /// Remembers the UUID of a domain's name.
    func learn(_ name: String, _ uuid: String) {
        state.withLock { state in
            if state.names.count >= Self.namesInMemory { state.names.removeAll() }
            state.names[name] = uuid
        }
    }

    /// These keys of requests, and all others that are known to mean the same domains.
    func aliases(of keys: [String]) -> [String] {
        state.withLock { state in
            let known = keys.compactMap { key in
                if let name = InstanceReference.name(ofKey: key) { state.names[name] } else { key }
            }
            let names = state.names.filter { known.contains($0.value) }.keys.map(InstanceReference.key(ofName:))
            return Set(keys + known + names).sorted()
        }
    }

    /// The queue key of a request: the domain's UUID if its name is known, else the request's own key.
    func queue(for key: String) -> String {
        guard let name = InstanceReference.name(ofKey: key) else { return key }
        return state.withLock { $0.names[name] } ?? key
    }
}
