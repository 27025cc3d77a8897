/// Judges the samples of a running copy: progress, rate, stall. Pure; time is given to it.
struct CopyWatch {
    private(set) var progress = SwapProgress()
    private let stallTimeout: Duration?
    private var leastRemaining = Int64.max
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

    /// Takes a sample in. `cursor` moving is no progress when the guest writes as fast as the copy copies: only the remaining bytes count.
    ///
    /// - Returns: false when the remaining bytes have not shrunk for the stall time-out.
    mutating func sample(_ job: BlockJobInfo, now: ContinuousClock.Instant) -> Bool {
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
        if job.remaining < leastRemaining, job.end > 0 {
            leastRemaining = job.remaining
            lastShrink = now
        }
        guard let stallTimeout else { return true }
        return now - lastShrink < stallTimeout
    }
}
