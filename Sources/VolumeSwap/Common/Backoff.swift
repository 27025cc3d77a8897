/// Growing pauses between two tries: each twice the one before, up to a longest one.
struct Backoff {
    private var next: Duration
    private let longest: Duration

    init(first: Duration = .milliseconds(250), longest: Duration = .seconds(10)) {
        next = first
        self.longest = longest
    }

    mutating func pause() -> Duration {
        defer { next = min(next * 2, longest) }
        return next
    }
}
