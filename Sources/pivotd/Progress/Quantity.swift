import Basics

/// Formats numbers for people.
enum Quantity {
    /// `512 B`, `1.5 GiB`.
    static func bytes(_ count: Int64) -> String {
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
    static func duration(_ seconds: Double) -> String {
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

    /// `1 message`, `2 messages`.
    static func count(_ number: Int, _ noun: String) -> String { "\(number) \(noun)\(number == 1 ? "" : "s")" }

    private static func tenths(_ value: Double) -> String { "\((value * 10).rounded() / 10)" }
}

extension String {
    /// The string with control characters escaped: it came over the bus and goes to a terminal.
    var escapingControls: String {
        let isControl: (Unicode.Scalar) -> Bool = { $0.value < 0x20 || (0x7f...0x9f).contains($0.value) }
        guard unicodeScalars.contains(where: isControl) else { return self }
        return String(String.UnicodeScalarView(unicodeScalars.map { isControl($0) ? "\u{FFFD}" : $0 }))
    }
}
