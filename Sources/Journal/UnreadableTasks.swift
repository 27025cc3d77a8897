import Logging
import Synchronization

/// Logs each task that cannot be read and is skipped, once per task.
final class UnreadableTasks: Sendable {
    private static let limit = 1000

    private let reported = Mutex<Set<String>>([])

    func report(_ id: String, _ logger: Logger) {
        let isNew = reported.withLock { $0.count < Self.limit && $0.insert(id).inserted }
        guard isNew else { return }
        logger.error(
            "a task in the journal cannot be read and is skipped: its caller gets no answer; check which volume its domain runs on",
            metadata: ["task_id": "\(id)"])
    }
}
