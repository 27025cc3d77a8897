package import Foundation

/// Formats numbers for people.
package enum Quantity {
    /// `512 B`, `1.5 GiB`.
    package static func bytes(_ count: Int64) -> String {
        var value = Double(count)
        var units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"][...]
        while value.magnitude >= 1024, units.count > 1 {
            value /= 1024
            units = units.dropFirst()
        }
        let unit = units.first ?? "B"
        return unit == "B" || value.magnitude >= 100 ? "\(Int64(value.rounded())) \(unit)" : "\(tenths(value)) \(unit)"
    }

    /// Seconds as `0.6 s`, `1:05 min`, `2:00:07 h`, `3 d`.
    package static func duration(_ seconds: Double) -> String {
        guard seconds.isFinite, seconds >= 0, seconds < 1e9 else { return "-" }
        if seconds < 10 { return "\(tenths(seconds)) s" }
        let whole = Int(seconds.rounded())
        switch whole {
        case ..<60: return "\(whole) s"
        case ..<3600: return "\(whole / 60):\((whole % 60).padded(to: 2)) min"
        case ..<172_800: return "\(whole / 3600):\((whole / 60 % 60).padded(to: 2)):\((whole % 60).padded(to: 2)) h"
        default: return "\(whole / 86_400) d"
        }
    }

    /// Seconds in at most six characters, for tables: `5s`, `1m05s`, `2h00m`, `3d`.
    package static func short(_ seconds: Double) -> String {
        guard seconds.isFinite, seconds >= 0, seconds < 1e9 else { return "-" }
        let whole = Int(seconds.rounded())
        switch whole {
        case ..<60: return "\(whole)s"
        case ..<3600: return "\(whole / 60)m\((whole % 60).padded(to: 2))s"
        case ..<172_800: return "\(whole / 3600)h\((whole / 60 % 60).padded(to: 2))m"
        default: return "\(whole / 86_400)d"
        }
    }

    /// The time of day in UTC: `12:03:05`, or `12:03:05.123`.
    package static func timeOfDay(_ date: Date, hasMilliseconds: Bool = false) -> String {
        String(Timestamp.text(date, .milliseconds).dropFirst(11).prefix(hasMilliseconds ? 12 : 8))
    }

    /// `300`, `0.5`: without decimals if it is whole.
    package static func number(_ value: Double) -> String { Int64(exactly: value).map { "\($0)" } ?? "\(value)" }

    /// `1 message`, `2 messages`.
    package static func count(_ number: Int, _ noun: String) -> String { "\(number) \(noun)\(number == 1 ? "" : "s")" }

    private static func tenths(_ value: Double) -> String { "\((value * 10).rounded() / 10)" }
}
