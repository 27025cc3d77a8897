/// Exponential back-off: each pause is twice the one before, up to a maximum.
package struct Backoff: Sendable, Hashable {
    /// The next pause, or its upper bound with jitter.
    package private(set) var ceiling: Duration
    private let first: Duration
    private let longest: Duration

    /// - Parameters:
    ///   - first: the first pause.
    ///   - longest: the maximum.
    package init(first: Duration = .milliseconds(250), longest: Duration = .seconds(10)) {
        ceiling = min(first, longest)
        self.first = first
        self.longest = longest
    }

    /// The next pause, without jitter.
    package mutating func pause() -> Duration {
        defer { ceiling = min(ceiling * 2, longest) }
        return ceiling
    }

    /// The next pause with full jitter: uniform between zero and ``ceiling``, so that clients which failed together do not retry together.
    package mutating func jitteredPause(using generator: inout some RandomNumberGenerator) -> Duration {
        pause() * Double.random(in: 0...1, using: &generator)
    }

    /// Starts over with the first pause.
    package mutating func reset() { ceiling = min(first, longest) }
}
