import Metrics
import Synchronization

/// The gauge of the journal's size: after each commit would be too often, when many are small.
struct JournalSize: ~Copyable, Sendable {
    static let interval = Duration.seconds(1)

    private let files: JournalFiles
    private let gauge = Gauge(label: "pivotd_journal_size_bytes")
    private let recordedAt = Mutex<ContinuousClock.Instant?>(nil)

    init(_ files: JournalFiles) { self.files = files }

    func record() {
        recordedAt.withLock { $0 = .now }
        gauge.record(files.bytes)
    }

    /// Records it unless that was done less than ``interval`` ago.
    func recordIfDue() {
        let isDue = recordedAt.withLock { last in last.map { .now - $0 >= Self.interval } ?? true }
        if isDue { record() }
    }
}
