package import Foundation

/// A bandwidth by time of day, as `schedule` gives it: `22:00 0; 06:00 50`, local time and MiB/s, 0 for no limit; with `pause` instead of a
/// number no swap begins from then on, and those that run keep the last limit.
package struct BandwidthSchedule: Sendable, Hashable, CustomStringConvertible {
    private struct Entry: Sendable, Hashable {
        /// Minutes since midnight.
        var minute: Int
        /// MiB/s; nil for a pause.
        var limit: Int64?
    }

    /// By time of day; at least one has a limit.
    private let entries: [Entry]

    /// - Returns: nil if the text is not a schedule, or pauses and never ends that.
    package init?(_ text: String) {
        var entries: [Entry] = []
        for part in text.split(separator: ";", omittingEmptySubsequences: false) {
            guard let match = part.wholeMatch(of: /\s*(\d{1,2}):(\d{2})\s+(\d{1,7}|pause)\s*/), let hour = Int(match.1),
                let minute = Int(match.2), hour < 24, minute < 60
            else { return nil }
            entries.append(Entry(minute: hour * 60 + minute, limit: Int64(match.3)))
        }
        guard Set(entries.map(\.minute)).count == entries.count, entries.contains(where: { $0.limit != nil }) else { return nil }
        self.entries = entries.sorted { $0.minute < $1.minute }
    }

    package var description: String {
        entries.map { entry in
            let (hour, minute) = (entry.minute / 60, entry.minute % 60)
            return "\(hour < 10 ? "0" : "")\(hour):\(minute < 10 ? "0" : "")\(minute) \(entry.limit.map { "\($0)" } ?? "pause")"
        }.joined(separator: "; ")
    }

    /// MiB/s at a time; 0 for no limit.
    package func limit(at date: Date, in calendar: Calendar = .current) -> Int64 {
        let limits = entries.filter { $0.limit != nil }
        let minute = Self.minute(of: date, in: calendar)
        return (limits.last { $0.minute <= minute } ?? limits.last)?.limit ?? 0
    }

    /// Whether no swap begins at a time.
    package func isPaused(at date: Date, in calendar: Calendar = .current) -> Bool {
        let minute = Self.minute(of: date, in: calendar)
        return (entries.last { $0.minute <= minute } ?? entries.last)?.limit == nil
    }

    /// Whether there is a time at which no swap begins.
    package var hasPauses: Bool { entries.contains { $0.limit == nil } }

    private static func minute(of date: Date, in calendar: Calendar) -> Int {
        let time = calendar.dateComponents([.hour, .minute], from: date)
        return (time.hour ?? 0) * 60 + (time.minute ?? 0)
    }

    /// When the limit or a pause may change next.
    package func nextChange(after date: Date, in calendar: Calendar = .current) -> Date {
        let changes = entries.compactMap { entry in
            let time = DateComponents(hour: entry.minute / 60, minute: entry.minute % 60)
            return calendar.nextDate(after: date, matching: time, matchingPolicy: .nextTime)
        }
        return changes.min() ?? date.addingTimeInterval(86_400)
    }
}
