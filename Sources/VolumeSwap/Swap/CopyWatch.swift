/// Judges the samples of a running copy: progress, rate, stall. Pure; time is given to it.
struct CopyWatch {
    private(set) var progress = SwapProgress()
    private let stallTimeout: Duration?
    /// The fewest bytes that were ever left; nil as long as none were told.
    private(set) var leastRemaining: Int64?
    private var lastShrink: ContinuousClock.Instant
    private var lastSample: (at: ContinuousClock.Instant, cursor: Int64)?

    init(stallTimeoutS: Double, now: ContinuousClock.Instant) {
        stallTimeout = stallTimeoutS > 0 ? .seconds(stallTimeoutS) : nil
        lastShrink = now
    }

    /// The mirror is in step: all that was to be copied has been.
    mutating func finish(atLeast bytes: Int64) {
        progress.totalBytes = max(progress.totalBytes, bytes)
        progress.copiedBytes = progress.totalBytes
    }

    /// True when the remaining bytes have not shrunk for the stall time-out, or nobody could tell them for so long.
    func isStalled(now: ContinuousClock.Instant) -> Bool {
        guard let stallTimeout else { return false }
        return now - lastShrink >= stallTimeout
    }

    /// Takes a sample in. `cursor` moving is no progress when the guest writes as fast as the copy copies: only the remaining bytes count.
    mutating func sample(_ job: BlockJobInfo, now: ContinuousClock.Instant) {
        progress.copiedBytes = job.cursor
        progress.totalBytes = job.end
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
        // A job that has not measured its work yet says 0 of 0.
        if job.end > 0, leastRemaining.map({ job.remaining < $0 }) ?? true {
            leastRemaining = job.remaining
            lastShrink = now
        }
    }
}
