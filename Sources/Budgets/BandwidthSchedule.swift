package import Foundation

/// A bandwidth by time of day, as `schedule` gives it: `22:00 0; 06:00 50`, local time and MiB/s, 0 for no limit.
package struct BandwidthSchedule: Sendable, Hashable, CustomStringConvertible {
    private struct Entry: Sendable, Hashable {
        /// Minutes since midnight.
        var minute: Int
        /// MiB/s
        var limit: Int64
    }

    /// By time of day; at least one.
    private let entries: [Entry]

    /// - Returns: nil if the text is not a schedule.
    package init?(_ text: String) {
        var entries: [Entry] = []
        for part in text.split(separator: ";", omittingEmptySubsequences: false) {
            guard let match = part.wholeMatch(of: /\s*(\d{1,2}):(\d{2})\s+(\d{1,7})\s*/), let hour = Int(match.1),
                let minute = Int(match.2), let limit = Int64(match.3), hour < 24, minute < 60
            else { return nil }
            entries.append(Entry(minute: hour * 60 + minute, limit: limit))
        }
        guard Set(entries.map(\.minute)).count == entries.count else { return nil }
        self.entries = entries.sorted { $0.minute < $1.minute }
    }

    package var description: String {
        entries.map { entry in
            let (hour, minute) = (entry.minute / 60, entry.minute % 60)
            return "\(hour < 10 ? "0" : "")\(hour):\(minute < 10 ? "0" : "")\(minute) \(entry.limit)"
        }.joined(separator: "; ")
    }

    /// MiB/s at a time; 0 for no limit.
    package func limit(at date: Date, in calendar: Calendar = .current) -> Int64 {
        let time = calendar.dateComponents([.hour, .minute], from: date)
        let minute = (time.hour ?? 0) * 60 + (time.minute ?? 0)
        return (entries.last { $0.minute <= minute } ?? entries.last)?.limit ?? 0
    }

    /// When the limit may change next.
    package func nextChange(after date: Date, in calendar: Calendar = .current) -> Date {
        let changes = entries.compactMap { entry in
            let time = DateComponents(hour: entry.minute / 60, minute: entry.minute % 60)
            return calendar.nextDate(after: date, matching: time, matchingPolicy: .nextTime)
        }
        return changes.min() ?? date.addingTimeInterval(86_400)
    }
}
