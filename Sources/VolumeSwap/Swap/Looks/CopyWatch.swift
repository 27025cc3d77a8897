/// Evaluates samples of a running copy: progress, rate, stalls. Pure; the caller supplies the time.
struct CopyWatch {
    private(set) var progress = SwapProgress()
    /// A standstill of which an operator is told.
    private static let longStandstill = Duration.seconds(30)

    private let stallTimeout: Duration?
    /// The fewest bytes ever left; nil until QEMU has reported any.
    private(set) var leastRemaining: Int64?
    /// When what remains last became less than ever before.
    private(set) var lastShrink: ContinuousClock.Instant
    /// What remained over the last window, oldest first.
    private var trend: [(at: ContinuousClock.Instant, remaining: Int64)] = []
    private let window: Duration
    /// Whether the last sample had a different cursor from the one before.
    private(set) var isMoving = false
    private var lastCursor: Int64?
    private var lastSample: (at: ContinuousClock.Instant, cursor: Int64)?

    /// - Parameter window: the longest time about which ``isOutrun(for:now:)`` is asked.
    init(stallTimeoutS: Double, window: Duration = .seconds(30), now: ContinuousClock.Instant) {
        stallTimeout = stallTimeoutS > 0 ? .seconds(stallTimeoutS) : nil
        self.window = window
        lastShrink = now
    }

    /// The mirror is in sync: everything has been copied.
    mutating func finish(atLeast bytes: Int64) {
        progress.totalBytes = max(progress.totalBytes, bytes)
        progress.copiedBytes = progress.totalBytes
    }

    /// Whether the remaining bytes have not shrunk, or not been known, for the stall time-out, and are not shrinking now.
    func isStalled(now: ContinuousClock.Instant) -> Bool {
        guard let stallTimeout, now - lastShrink >= stallTimeout else { return false }
        return !isShrinking(over: window, now)
    }

    /// Whether the guest writes as fast as the copy copies: the copy moves, but what remains has not shrunk for this long, and is not
    /// shrinking now, as after a burst of writes.
    ///
    /// A copy that does not move is not outrun. Its destination may hang, and then the guest's writes must not wait for it.
    func isOutrun(for window: Duration, now: ContinuousClock.Instant) -> Bool {
        isMoving && now - lastShrink >= window && !isShrinking(over: window, now)
    }

    /// Whether less remains than did half a window ago.
    private func isShrinking(over window: Duration, _ now: ContinuousClock.Instant) -> Bool {
        guard let latest = trend.last, let earlier = trend.last(where: { $0.at <= now - window / 2 }) else { return false }
        return latest.remaining < earlier.remaining
    }

    /// Nothing can be known of the copy, such as without a connection: that time does not count.
    mutating func pause(now: ContinuousClock.Instant) {
        lastShrink = max(lastShrink, now)
        trend = []
    }

    /// Measures standstills from now on: how little remained before does not count.
    mutating func restart(now: ContinuousClock.Instant) {
        leastRemaining = trend.last?.remaining
        pause(now: now)
    }

    private mutating func follow(_ remaining: Int64, _ now: ContinuousClock.Instant) {
        // At most so many are kept: of those that follow one another closely, the first and the latest.
        if trend.count > 1, now - trend[trend.count - 2].at < window / 32 { trend.removeLast() }
        trend.append((now, remaining))
        // One that is older than the window stays.
        while trend.count > 1, trend[1].at <= now - window { trend.removeFirst() }
    }

    /// For how long the remaining bytes have not shrunk: a text that changes when that has doubled; nil if not for long.
    func standstill(now: ContinuousClock.Instant) -> String? {
        let time = now - lastShrink
        var limit = Self.longStandstill
        guard time >= limit else { return nil }
        while time >= limit * 2 { limit *= 2 }
        let seconds = limit.components.seconds
        return seconds < 60 ? "over \(seconds) s" : seconds < 3600 ? "over \(seconds / 60) min" : "over \(seconds / 3600) h"
    }

    /// Adds a sample. A moving `cursor` is not progress if the guest writes as fast: only the remaining bytes count.
    mutating func sample(_ job: BlockJobInfo, now: ContinuousClock.Instant) {
        progress.copiedBytes = job.cursor
        progress.totalBytes = job.isMeasured ? job.end : job.cursor
        progress.limit = job.bandwidth > 0 ? job.bandwidth : nil
        isMoving = lastCursor.map { $0 != job.cursor } ?? false
        lastCursor = job.cursor
        if let lastSample {
            let seconds = (now - lastSample.at) / .seconds(1)
            if seconds > 0.2 {
                let rate = Double(max(0, job.cursor - lastSample.cursor)) / seconds
                progress.rate = progress.rate.map { $0 * 0.7 + rate * 0.3 } ?? rate
                self.lastSample = (now, job.cursor)
            }
        } else {
            lastSample = (now, job.cursor)
        }
        guard job.isMeasured else { return }
        follow(job.remaining, now)
        if leastRemaining.map({ job.remaining < $0 }) ?? true {
            leastRemaining = job.remaining
            lastShrink = now
        }
    }
}
