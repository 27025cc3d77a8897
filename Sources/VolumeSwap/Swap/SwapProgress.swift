/// A copy's progress, as `get_swap` shows it.
package struct SwapProgress: Sendable, Hashable, Codable {
    /// Bytes copied, in QEMU's measure.
    package var copiedBytes: Int64 = 0
    /// Bytes to copy, including guest writes so far.
    package var totalBytes: Int64 = 0
    /// Bytes/s, smoothed over the last samples; nil before the second sample.
    package var rate: Double?

    /// The job's own speed limit in bytes/s, as libvirt reports it; nil without a limit or a copy.
    package var limit: Int64?

    /// Whether the guest's writes go to both volumes meanwhile; nil without a copy.
    package var isSynchronous: Bool?

    /// The guest's mean request time in milliseconds; nil without a budget for it, and while the guest makes no requests.
    package var guestLatency: Double?

    package init() {}

    /// A copy that is done. How much the guest wrote meanwhile is not known.
    static func done(_ bytes: Int64) -> SwapProgress {
        var progress = SwapProgress()
        (progress.copiedBytes, progress.totalBytes) = (bytes, bytes)
        return progress
    }

    /// Bytes left to copy.
    package var remainingBytes: Int64 { max(0, totalBytes - copiedBytes) }
    /// The copied fraction, from 0 to 1; nil before QEMU has reported what there is to copy.
    package var fraction: Double? {
        totalBytes > 0 ? min(1, max(0, Double(copiedBytes) / Double(totalBytes))) : nil
    }
    /// Seconds left at the current rate; nil while that is unknown, or so low that the copy all but stands still.
    package var eta: Double? {
        guard let rate, rate >= 1 else { return nil }
        let seconds = Double(remainingBytes) / rate
        return seconds < Self.longestCopy ? seconds : nil
    }

    /// Ten years, in seconds.
    private static let longestCopy = 3650.0 * 86400
}
