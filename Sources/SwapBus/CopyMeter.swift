import JSON
import Metrics
import Synchronization
import VolumeSwap

/// Counts the bytes of running copies as they are copied, and notices when one does not advance.
final class CopyMeter: Sendable {
    private struct Copy {
        let bytes: Counter
        /// Bytes of the current attempt that have been counted.
        var counted: Int64
        /// The copy's last advance; nil while there is nothing to wait for.
        var advancedAt: ContinuousClock.Instant?
        /// The guest's mean request time in milliseconds, if it has a budget.
        var guestLatency: Double?
    }

    private struct Key: Hashable {
        let driver: String
        let strategy: SwapStrategy
    }

    private struct State {
        var copies: [TaskID: Copy] = [:]
        var counters: [Key: Counter] = [:]
    }

    private let state = Mutex(State())

    /// Adds a swap whose copy is about to start.
    func begin(_ record: SwapRecord, by strategy: SwapStrategy) {
        state.withLock { Self.begin(record, strategy, counted: 0, &$0) }
    }

    private static func begin(_ record: SwapRecord, _ strategy: SwapStrategy, counted: Int64, _ state: inout State) {
        let key = Key(driver: driver(record), strategy: strategy)
        let bytes = state.counters[key] ?? counter(key)
        state.counters[key] = bytes
        state.copies[record.id] = Copy(bytes: bytes, counted: counted)
    }

    private static func counter(_ key: Key) -> Counter {
        Counter(
            label: "pivotd_copied_bytes_total", dimensions: [("driver", key.driver), ("strategy", key.strategy.rawValue)])
    }

    /// The new volume's `driver_volume_type`.
    private static func driver(_ record: SwapRecord) -> String {
        record.args["new_connection_info"]?["driver_volume_type"]?.stringValue ?? "unknown"
    }

    /// Adds a sample of a copy. What one from before a restart has copied by its first sample was counted then.
    ///
    /// - Returns: the bytes counted.
    @discardableResult
    func sample(
        _ record: SwapRecord, by strategy: SwapStrategy, _ progress: SwapProgress, at now: ContinuousClock.Instant
    ) -> Int64 {
        state.withLock { state in
            let copied = progress.copiedBytes
            if state.copies[record.id] == nil { Self.begin(record, strategy, counted: copied, &state) }
            guard var copy = state.copies[record.id] else { return 0 }
            // Another attempt starts from zero.
            let new = copied < copy.counted ? copied : copied - copy.counted
            copy.counted = copied
            copy.bytes.increment(by: new)
            let isDone = progress.totalBytes > 0 && progress.remainingBytes == 0
            copy.advancedAt = isDone ? nil : new > 0 ? now : copy.advancedAt ?? now
            copy.guestLatency = isDone ? nil : progress.guestLatency
            state.copies[record.id] = copy
            return new
        }
    }

    /// The swap is in another phase than copying.
    func rest(_ id: TaskID) {
        state.withLock { state in
            state.copies[id]?.advancedAt = nil
            state.copies[id]?.guestLatency = nil
        }
    }

    /// The longest mean request time in milliseconds of a guest whose copy is steered by it; 0 if there is none.
    var guestLatency: Double { state.withLock { $0.copies.values.compactMap(\.guestLatency).max() ?? 0 } }

    /// The swap is over.
    func end(_ id: TaskID) { state.withLock { $0.copies[id] = nil } }

    /// How many copies run, and how long the one that has been still for longest has not advanced.
    func standstill(at now: ContinuousClock.Instant) -> (copies: Int, longest: Duration) {
        let advances = state.withLock { state in state.copies.values.compactMap(\.advancedAt) }
        return (advances.count, advances.min()?.duration(to: now) ?? .zero)
    }
}
