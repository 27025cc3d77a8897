/// Queues at which the broker fails: each is left alone for a while, longer every time, so that it does not end the connection that all
/// others are consumed from. Pure.
///
/// RabbitMQ answers what crashes in it with connection.close 541 (INTERNAL_ERROR); a quorum queue that was made while one of its nodes
/// hung does so for as long as it exists.
struct QueueQuarantine {
    private struct Hold {
        var why: String
        var until: ContinuousClock.Instant
        var pause: Duration
    }

    private static let firstPause = Duration.seconds(5)
    private static let longestPause = Duration.seconds(300)

    /// By unit.
    private var holds: [Int: Hold] = [:]

    /// - Returns: for how long it is left alone.
    mutating func add(_ unit: Int, why: String, at now: ContinuousClock.Instant) -> Duration {
        let pause = holds[unit].map { min($0.pause * 2, Self.longestPause) } ?? Self.firstPause
        holds[unit] = Hold(why: why, until: now + pause, pause: pause)
        return pause
    }

    /// Nil when it may be used.
    func hold(on unit: Int, at now: ContinuousClock.Instant) -> (why: String, until: ContinuousClock.Instant)? {
        holds[unit].flatMap { $0.until > now ? ($0.why, $0.until) : nil }
    }

    mutating func clear(_ unit: Int) { holds[unit] = nil }
}
