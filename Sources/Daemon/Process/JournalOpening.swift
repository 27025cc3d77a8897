import Basics
import Journal
import Logging
import Observability
import VolumeSwap

/// Opens a worker's journal. Waits for a disk that is full, read-only or failing, since it may recover.
struct JournalOpening: Sendable {
    let logger: Logger
    /// Called with the reason for waiting.
    let onWait: @Sendable (String) -> Void
    let open: @Sendable () async throws(JournalError) -> SQLiteJournal

    /// - Returns: nil if the task is cancelled before the journal is open.
    /// - Throws: ``JournalError`` `unusable` if waiting would not help.
    func run() async throws(JournalError) -> SQLiteJournal? {
        var backoff = Backoff(first: .milliseconds(500))
        var told: String?
        while !Task.isCancelled {
            do {
                let journal = try await open()
                if told != nil { logger.notice("the journal can be opened: starting up") }
                return journal
            } catch {
                guard error.code == .unavailable else { throw error }
                if told != error.message { logger.error("start-up is waiting: \(error.message)") }
                told = error.message
                onWait(error.message)
            }
            guard (try? await Task.sleep(for: backoff.pause())) != nil else { break }
        }
        return nil
    }
}
