import Basics
import Journal
import Logging
import Observability
import VolumeSwap

/// Opens the journal of a worker. A disk that is full, read-only or failing may get well, so it is waited for as the broker is.
struct JournalOpening: Sendable {
    let logger: Logger
    /// Called with what is waited for.
    let onWait: @Sendable (String) -> Void
    let open: @Sendable () async throws(JournalError) -> SQLiteJournal

    /// - Returns: nil when the task is cancelled before the journal is open.
    /// - Throws: ``JournalError`` of code `unusable`: waiting would not help.
    func run() async throws(JournalError) -> SQLiteJournal? {
        var backoff = Backoff(first: .milliseconds(500))
        var told: String?
        while !Task.isCancelled {
            do {
                let journal = try await open()
                if told != nil { logger.notice("the journal can be opened: the start goes on") }
                return journal
            } catch {
                guard error.code == .unavailable else { throw error }
                if told != error.message { logger.error("the start waits: \(error.message)") }
                told = error.message
                onWait(error.message)
            }
            guard (try? await Task.sleep(for: backoff.pause())) != nil else { break }
        }
        return nil
    }
}
