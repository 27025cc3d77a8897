/// Exponential back-off with full jitter: each delay is uniform between zero and a ceiling that doubles up to a maximum.
struct Backoff {
    let initial: Duration
    let maximum: Duration
    private var attempt = 0

    init(initial: Duration, maximum: Duration) {
        self.initial = initial
        self.maximum = maximum
    }

    /// The upper bound of the next delay.
    var ceiling: Duration {
        var ceiling = initial
        for _ in 0..<attempt where ceiling < maximum { ceiling *= 2 }
        return min(ceiling, maximum)
    }

    mutating func next(using generator: inout some RandomNumberGenerator) -> Duration {
        let delay = ceiling * Double.random(in: 0...1, using: &generator)
        attempt = min(attempt + 1, 64)
        return delay
    }

    mutating func reset() { attempt = 0 }
}
