/// What `get_swap` shows of a running copy.
package struct SwapProgress: Sendable, Hashable, Codable {
    package var copiedBytes: Int64 = 0
    package var totalBytes: Int64 = 0
    /// Bytes a second, smoothed over the last samples; nil before the second one.
    package var rate: Double?

    package init() {}

    package var remainingBytes: Int64 { max(0, totalBytes - copiedBytes) }
    /// Seconds, nil while the rate is unknown or zero.
    package var eta: Double? {
        guard let rate, rate > 0 else { return nil }
        return Double(remainingBytes) / rate
    }
}
