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

    private let copies = Mutex<[TaskID: Copy]>([:])

    /// Adds a swap whose copy is about to start.
    func begin(_ record: SwapRecord, by strategy: SwapStrategy) {
        copies.withLock { $0[record.id] = Self.copy(of: record, strategy, counted: 0) }
    }

    /// The registry has one counter for all copies of a driver and strategy, and limits their number.
    private static func copy(of record: SwapRecord, _ strategy: SwapStrategy, counted: Int64) -> Copy {
        let dimensions = [("driver", driver(record)), ("strategy", strategy.rawValue)]
        return Copy(bytes: Counter(label: "pivotd_copied_bytes_total", dimensions: dimensions), counted: counted)
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
        copies.withLock { copies in
            let copied = progress.copiedBytes
            var copy = copies[record.id] ?? Self.copy(of: record, strategy, counted: copied)
            // Another attempt starts from zero.
            let new = copied < copy.counted ? copied : copied - copy.counted
            copy.counted = copied
            copy.bytes.increment(by: new)
            let isDone = progress.totalBytes > 0 && progress.remainingBytes == 0
            copy.advancedAt = isDone ? nil : new > 0 ? now : copy.advancedAt ?? now
            copy.guestLatency = isDone ? nil : progress.guestLatency
            copies[record.id] = copy
            return new
        }
    }

    /// The swap is in another phase than copying.
    func rest(_ id: TaskID) {
        copies.withLock { copies in
            copies[id]?.advancedAt = nil
            copies[id]?.guestLatency = nil
        }
    }

    /// The longest mean request time in milliseconds of a guest whose copy is steered by it; 0 if there is none.
    var guestLatency: Double { copies.withLock { $0.values.compactMap(\.guestLatency).max() ?? 0 } }

    /// The swap is over.
    func end(_ id: TaskID) { copies.withLock { $0[id] = nil } }

    /// How many copies run, and how long the one that has been still for longest has not advanced.
    func standstill(at now: ContinuousClock.Instant) -> (copies: Int, longest: Duration) {
        let advances = copies.withLock { $0.values.compactMap(\.advancedAt) }
        return (advances.count, advances.min()?.duration(to: now) ?? .zero)
    }
}
