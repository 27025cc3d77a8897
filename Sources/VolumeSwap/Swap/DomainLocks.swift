import Basics
import Synchronization

/// One task at a time for each domain, whatever its requests call it. Places are handed on in the order in which they were asked for.
package final class DomainLocks: Sendable {
    private struct State {
        /// The task that has a domain, and those that wait for it.
        var holders: [String: TaskID] = [:]
        var waiters: [String: [(task: TaskID, waiter: Waiter<Bool>)]] = [:]
        /// The UUIDs of domains that were asked for by name.
        var names: [String: String] = [:]
    }

    /// Names remembered; beyond that they are learned anew.
    private static let namesInMemory = 10_000

    private let state = Mutex(State())

    package init() {}

    /// Gives a domain to a task that has begun something on it before a restart.
    func take(_ uuid: String, for task: TaskID) { state.withLock { $0.holders[uuid] = $0.holders[uuid] ?? task } }

    func isHeld(_ uuid: String, byOtherThan task: TaskID) -> Bool { state.withLock { ($0.holders[uuid] ?? task) != task } }

    /// Returns when the domain is the task's. Asking again for what it has returns at once.
    ///
    /// - Throws: `CancellationError` when the waiting task is cancelled.
    func acquire(_ uuid: String, for task: TaskID) async throws {
        let waiter = state.withLock { state -> Waiter<Bool> in
            if state.holders[uuid] == nil || state.holders[uuid] == task {
                state.holders[uuid] = task
                return Waiter(true)
            }
            let waiter = Waiter<Bool>()
            state.waiters[uuid, default: []].append((task, waiter))
            return waiter
        }
        guard await waiter.value(ifCancelled: false) else { throw CancellationError() }
    }

    /// Hands a task's domain on to whoever asked for it next.
    func release(_ task: TaskID) {
        state.withLock { state in
            for uuid in state.holders.filter({ $0.value == task }).map(\.key).sorted() {
                state.holders[uuid] = nil
                var waiters = state.waiters.removeValue(forKey: uuid)?[...] ?? []
                while let next = waiters.popFirst() {
                    guard next.waiter.resume(true) else { continue }
                    state.holders[uuid] = next.task
                    break
                }
                if !waiters.isEmpty { state.waiters[uuid] = Array(waiters) }
            }
        }
    }

    /// How many tasks wait for a domain.
    func waiting(_ uuid: String) -> Int { state.withLock { $0.waiters[uuid]?.count { !$0.waiter.isResumed } ?? 0 } }

    func learn(_ name: String, _ uuid: String) {
        state.withLock { state in
            if state.names.count >= Self.namesInMemory { state.names.removeAll() }
            state.names[name] = uuid
        }
    }

    /// The queue of a task: its domain's UUID where that is known, else what the request says.
    func queue(for key: String) -> String {
        guard key.hasPrefix("name:") else { return key }
        return state.withLock { $0.names[String(key.dropFirst(5))] } ?? key
    }
}
