/// For how long the oldest change has not been committed. Pure.
struct CommitWait: Sendable {
    typealias Instant = ContinuousClock.Instant

    private var queuedSince: Instant?
    private var committingSince: Instant?

    mutating func queued(at now: Instant) { if queuedSince == nil { queuedSince = now } }

    /// All that is queued is being committed.
    mutating func begins() { (committingSince, queuedSince) = (queuedSince, nil) }

    /// However it went.
    mutating func ends() { committingSince = nil }

    /// Zero when nothing waits.
    func oldest(at now: Instant) -> Duration { (committingSince ?? queuedSince)?.duration(to: now) ?? .zero }
}
