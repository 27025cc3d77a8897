/// Measures how long the oldest change has been waiting for its commit. Pure.
struct CommitWait: Sendable {
    typealias Instant = ContinuousClock.Instant

    private var queuedSince: Instant?
    private var committingSince: Instant?

    mutating func queued(at now: Instant) { if queuedSince == nil { queuedSince = now } }

    /// Everything queued is being committed.
    mutating func begins() { (committingSince, queuedSince) = (queuedSince, nil) }

    /// The commit succeeded or failed.
    mutating func ends() { committingSince = nil }

    /// How long the oldest change has waited; zero if none does.
    func oldest(at now: Instant) -> Duration { (committingSince ?? queuedSince)?.duration(to: now) ?? .zero }
}
