import Synchronization

/// What the RPC server has done since it started.
package final class RPCCounters: Sendable {
    package struct Snapshot: Sendable, Hashable {
        /// Messages that arrived.
        package var received = 0
        /// Messages that were a request.
        package var decoded = 0
        /// Messages rejected because they were none.
        package var rejected = 0
        /// Requests stored.
        package var stored = 0
        /// Messages given back to their queue while not consuming or not storing.
        package var requeued = 0
        /// Final replies the broker confirmed.
        package var repliesConfirmed = 0
        /// Attempts at a final reply that found no queue.
        package var repliesReturned = 0
        /// Final replies given up.
        package var repliesGivenUp = 0
        /// Heartbeat replies sent.
        package var heartbeats = 0
    }

    private let counts = Mutex(Snapshot())

    package init() {}

    package var snapshot: Snapshot { counts.withLock { $0 } }

    /// Adds one; returns the new count.
    @discardableResult
    func increment(_ counter: any WritableKeyPath<Snapshot, Int> & Sendable) -> Int {
        counts.withLock { counts in
            counts[keyPath: counter] += 1
            return counts[keyPath: counter]
        }
    }
}
