import Logging
import Synchronization

/// Says of each task that cannot be read that it is left out: once, however often it is met.
final class UnreadableTasks: Sendable {
    private static let limit = 1000

    private let reported = Mutex<Set<String>>([])

    func report(_ id: String, _ logger: Logger) {
        let isNew = reported.withLock { $0.count < Self.limit && $0.insert(id).inserted }
        guard isNew else { return }
        logger.error(
            "a task of the journal cannot be read and is left out: its caller gets no answer; see what its domain runs on",
            metadata: ["task_id": "\(id)"])
    }
}
