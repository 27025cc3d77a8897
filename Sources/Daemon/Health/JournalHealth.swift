import Observability

/// What `/readyz` says of the journal.
enum JournalHealth {
    /// Above this nothing can be accepted in a time that a caller would wait.
    static let commitLimit = Duration.seconds(5)

    static func verdict(oldestWait: Duration) -> HealthCheck {
        guard oldestWait > commitLimit else { return HealthCheck("journal", ok: true) }
        return HealthCheck(
            "journal", ok: false, detail: "the disk does not answer: a commit has waited for \(oldestWait.components.seconds) s")
    }
}
