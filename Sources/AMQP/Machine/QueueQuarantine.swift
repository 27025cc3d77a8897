internal import Basics

/// Queues that the broker fails at or cannot reach: each is left alone for a while, so that it does not keep ending the connection
/// that serves all others. Pure.
///
/// RabbitMQ reports an internal crash with connection.close 541 (INTERNAL_ERROR). A quorum queue that was created while one of
/// its nodes hung causes that for as long as it exists. RabbitMQ 4 does not answer for about a minute while the node that a
/// classic queue lives on is down.
struct QueueQuarantine {
    private struct Hold {
        var why: String
        var until: ContinuousClock.Instant
        /// Whether the queue is only asked about then, and declared once it can be reached.
        var asksFirst = false
        var backoff = Backoff(first: .seconds(5), longest: .seconds(300))
    }

    /// By unit.
    private var holds: [Int: Hold] = [:]

    /// Leaves a unit alone, longer every time.
    ///
    /// - Returns: How long.
    mutating func add(_ unit: Int, why: String, at now: ContinuousClock.Instant, asksFirst: Bool = false) -> Duration {
        var hold = holds[unit] ?? Hold(why: why, until: now)
        let pause = hold.backoff.pause()
        (hold.why, hold.until, hold.asksFirst) = (why, now + pause, asksFirst)
        holds[unit] = hold
        return pause
    }

    /// Has a unit asked about from `time` on.
    mutating func ask(about unit: Int, why: String, from time: ContinuousClock.Instant) {
        var hold = holds[unit] ?? Hold(why: why, until: time)
        (hold.why, hold.until, hold.asksFirst) = (why, time, true)
        holds[unit] = hold
    }

    /// Why and until when the unit is left alone; nil if it may be used.
    func hold(on unit: Int, at now: ContinuousClock.Instant) -> (why: String, until: ContinuousClock.Instant)? {
        holds[unit].flatMap { $0.until > now ? ($0.why, $0.until) : nil }
    }

    /// Why the unit must be asked about before it is used; nil if it need not.
    func reasonToAsk(about unit: Int) -> String? { holds[unit].flatMap { $0.asksFirst ? $0.why : nil } }

    /// The unit may be used. If that fails it is left alone for longer than before.
    mutating func release(_ unit: Int, at now: ContinuousClock.Instant) {
        holds[unit]?.asksFirst = false
        holds[unit]?.until = now
    }

    /// Releases all that would only be asked about.
    mutating func releaseUnreachable(at now: ContinuousClock.Instant) {
        for (unit, hold) in holds where hold.asksFirst { release(unit, at: now) }
    }

    /// The unit works.
    mutating func clear(_ unit: Int) { holds[unit] = nil }
}
