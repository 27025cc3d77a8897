internal import Basics

/// Queues on which the broker fails: each is left alone for a while, longer every time, so that it does not keep ending the
/// connection that serves all others. Pure.
///
/// RabbitMQ reports an internal crash with connection.close 541 (INTERNAL_ERROR). A quorum queue that was created while one of
/// its nodes hung causes that for as long as it exists.
struct QueueQuarantine {
    private struct Hold {
        var why: String
        var until: ContinuousClock.Instant
        var backoff: Backoff
    }

    /// By unit.
    private var holds: [Int: Hold] = [:]

    /// - Returns: How long the unit is left alone.
    mutating func add(_ unit: Int, why: String, at now: ContinuousClock.Instant) -> Duration {
        var backoff = holds[unit]?.backoff ?? Backoff(first: .seconds(5), longest: .seconds(300))
        let pause = backoff.pause()
        holds[unit] = Hold(why: why, until: now + pause, backoff: backoff)
        return pause
    }

    /// Why and until when the unit is left alone; nil if it may be used.
    func hold(on unit: Int, at now: ContinuousClock.Instant) -> (why: String, until: ContinuousClock.Instant)? {
        holds[unit].flatMap { $0.until > now ? ($0.why, $0.until) : nil }
    }

    mutating func clear(_ unit: Int) { holds[unit] = nil }
}
