/// Counts the attempts to connect that libvirt leaves unanswered. Pure; the caller supplies the time.
struct Unanswered {
    static let limit = 8
    /// At the limit one more is made so often: the other side may be another by now, while what hangs will never end.
    static let pause = Duration.seconds(600)

    private(set) var count = 0
    private var latest: ContinuousClock.Instant?

    /// Whether to make another attempt now.
    func mayTry(at now: ContinuousClock.Instant) -> Bool {
        count < Self.limit || latest.map { now - $0 >= Self.pause } ?? true
    }

    /// An attempt has been given up, and goes on.
    mutating func begin(at now: ContinuousClock.Instant) {
        count += 1
        latest = now
    }

    /// One that was given up has been answered after all.
    mutating func end() { count -= 1 }
}
