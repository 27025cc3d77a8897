/// Thins out messages that repeat: each is logged at once, and then at most once an interval, with the number of repeats. Pure.
package struct RepeatFilter: Sendable {
    private struct Seen {
        var loggedAt: ContinuousClock.Instant
        /// Repeats since then.
        var repeats = 0
    }

    /// Maximum number of different messages remembered.
    private static let limit = 32

    private let interval: Duration
    private var seen: [String: Seen] = [:]

    /// - Parameter interval: how long the repeats of a logged message are only counted.
    package init(interval: Duration = .seconds(300)) { self.interval = interval }

    /// - Returns: how often the message was repeated since it was last logged, if it is to be logged; else nil.
    package mutating func pass(_ message: String, at now: ContinuousClock.Instant) -> Int? {
        if let known = seen[message], known.loggedAt.duration(to: now) < interval {
            seen[message]?.repeats += 1
            return nil
        }
        let repeats = seen[message]?.repeats ?? 0
        if seen.count >= Self.limit { seen = [:] }
        seen[message] = Seen(loggedAt: now)
        return repeats
    }

    /// Forgets all messages: the next is news again.
    package mutating func reset() { seen = [:] }
}
