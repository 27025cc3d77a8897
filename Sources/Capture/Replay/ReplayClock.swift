package import Foundation

/// Schedules messages with the gaps of the recording, faster or slower.
package struct ReplayClock: Sendable {
    /// The speed of a replay.
    package enum Speed: Sendable, Hashable {
        /// 1 as recorded, 10 ten times as fast.
        case factor(Double)
        /// Each as soon as the previous one has been sent.
        case max

        /// - Throws: ``CaptureError`` `usage`.
        package init(parsing text: String) throws(CaptureError) {
            if text == "max" {
                self = .max
            } else if let factor = Double(text), factor.isFinite, factor >= 0.001, factor <= 1e6 {
                self = .factor(factor)
            } else {
                throw CaptureError(.usage, "speed: '\(text)' is neither max nor a number from 0.001 to 1000000")
            }
        }
    }

    private let speed: Speed
    private let start: ContinuousClock.Instant
    private var firstMoment: Date?

    /// - Parameter start: When the first message is due.
    package init(speed: Speed, start: ContinuousClock.Instant = .now) {
        self.speed = speed
        self.start = start
    }

    /// When a message captured at that time is due; nil means now, as for messages without a time or older than the first.
    package mutating func due(_ capturedAt: Date?) -> ContinuousClock.Instant? {
        guard case .factor(let factor) = speed, let capturedAt else { return nil }
        guard let firstMoment else {
            firstMoment = capturedAt
            return nil
        }
        let gap = capturedAt.timeIntervalSince(firstMoment) / factor
        return gap > 0 ? start + .seconds(gap) : nil
    }
}
