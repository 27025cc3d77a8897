package import Foundation

/// The time of day in which swaps may start, `22:00-06:00` in local time; it may span midnight.
package struct MoveWindow: Sendable, Hashable, CustomStringConvertible {
    /// Minutes since midnight.
    private let start: Int
    private let end: Int

    /// - Returns: nil if the text is not a window, or an empty one.
    package init?(_ text: String) {
        guard let match = text.wholeMatch(of: /(\d{1,2}):(\d{2})-(\d{1,2}):(\d{2})/),
            let start = Self.minute(match.1, match.2), let end = Self.minute(match.3, match.4), start != end
        else { return nil }
        self.start = start
        self.end = end
    }

    package var description: String { "\(Self.text(start))-\(Self.text(end))" }

    /// When it opens, as `HH:MM`.
    package var opening: String { Self.text(start) }

    /// Whether it is open at a time; at its end it is closed.
    package func isOpen(at date: Date, in calendar: Calendar = .current) -> Bool {
        let time = calendar.dateComponents([.hour, .minute], from: date)
        let minute = (time.hour ?? 0) * 60 + (time.minute ?? 0)
        return start < end ? (start..<end).contains(minute) : minute >= start || minute < end
    }

    private static func minute(_ hour: Substring, _ minute: Substring) -> Int? {
        guard let hour = Int(hour), let minute = Int(minute), hour < 24, minute < 60 else { return nil }
        return hour * 60 + minute
    }

    private static func text(_ minute: Int) -> String {
        [minute / 60, minute % 60].map { ($0 < 10 ? "0" : "") + String($0) }.joined(separator: ":")
    }
}
