import Basics

/// The tasks that are being stored and are not in memory yet, and who waits for them to be.
struct Arrivals {
    private struct Arrival {
        /// The same task may be stored by several deliveries at a time; one of them is new.
        var count = 0
        var waiters = Waiters<Void>()
    }

    private var arrivals: [TaskID: Arrival] = [:]

    mutating func begin(_ id: TaskID) { arrivals[id, default: Arrival()].count += 1 }

    mutating func end(_ id: TaskID) {
        arrivals[id]?.count -= 1
        guard arrivals[id]?.count == 0, var arrival = arrivals.removeValue(forKey: id) else { return }
        arrival.waiters.resumeAll(())
    }

    /// - Returns: nil if the task is not arriving.
    mutating func wait(for id: TaskID) -> Waiter<Void>? { arrivals[id]?.waiters.add() }
}
