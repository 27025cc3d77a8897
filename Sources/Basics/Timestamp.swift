package import Foundation

/// Formats and parses timestamps in UTC, without C calls or locales.
package enum Timestamp {
    /// How a timestamp is written. All forms round to the microsecond and truncate further to their digits.
    package enum Form {
        /// RFC 3339 to the microsecond: `2026-11-23T00:58:42.123456Z`
        case microseconds
        /// RFC 3339 to the millisecond: `2026-11-23T00:58:42.123Z`
        case milliseconds
        /// Python's `str(datetime.utcnow())`: `2026-11-23 00:58:42.123456`
        case python
    }

    /// The timestamp as a string.
    package static func text(_ date: Date, _ form: Form = .microseconds) -> String {
        let micros = Int64((date.timeIntervalSince1970 * 1e6).rounded())
        let (seconds, fraction) = floorDivide(micros, 1_000_000)
        let (days, second) = floorDivide(seconds, 86_400)
        let (year, month, day) = civil(days)
        let date = "\(year.padded(to: 4))-\(month.padded(to: 2))-\(day.padded(to: 2))"
        let clock = "\((second / 3600).padded(to: 2)):\((second / 60 % 60).padded(to: 2)):\((second % 60).padded(to: 2))"
        return switch form {
        case .microseconds: "\(date)T\(clock).\(fraction.padded(to: 6))Z"
        case .milliseconds: "\(date)T\(clock).\((fraction / 1000).padded(to: 3))Z"
        case .python: "\(date) \(clock).\(fraction.padded(to: 6))"
        }
    }

    /// Parses RFC 3339, and Erlang's variant of it (`2026-11-23 0:58:42:123`, in UTC).
    ///
    /// - Returns: nil for anything else, and for year 1, Go's zero time.
    package static func date(_ text: String) -> Date? {
        var scanner = Scanner(text)
        guard let year = scanner.number(), scanner.skip("-"), let month = scanner.number(), (1...12).contains(month),
            scanner.skip("-"), let day = scanner.number(), (1...31).contains(day), year > 1, year < 10_000
        else { return nil }
        guard scanner.skip("T") || scanner.skip("t") || scanner.skip(" "), let hour = scanner.number(), hour < 24,
            scanner.skip(":"), let minute = scanner.number(), minute < 60, scanner.skip(":"), let second = scanner.number(),
            second <= 60
        else { return nil }
        var moment = Double(days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second)
        if scanner.skip(".") || scanner.skip(":") || scanner.skip(",") {
            guard let fraction = scanner.fraction() else { return nil }
            moment += fraction
        }
        guard let offset = scanner.offset(), scanner.isAtEnd else { return nil }
        return Date(timeIntervalSince1970: moment - Double(offset))
    }

    private static func floorDivide(_ value: Int64, _ divisor: Int64) -> (quotient: Int64, remainder: Int64) {
        let (quotient, remainder) = value.quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
    }

    /// Days since 1970-01-01 of a Gregorian date, computed in years that begin in March.
    private static func days(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
        let year = month <= 2 ? year - 1 : year
        let (era, yearOfEra) = floorDivide(year, 400)
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }

    private static func civil(_ days: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let (era, dayOfEra) = floorDivide(days + 719_468, 146_097)
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shifted = (5 * dayOfYear + 2) / 153
        let month = shifted < 10 ? shifted + 3 : shifted - 9
        return (era * 400 + yearOfEra + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * shifted + 2) / 5 + 1)
    }
}

/// Reads a timestamp from left to right.
private struct Scanner {
    private var rest: Substring.UTF8View

    init(_ text: String) { rest = text[...].utf8 }

    var isAtEnd: Bool { rest.isEmpty }

    mutating func skip(_ character: Unicode.Scalar) -> Bool {
        guard let first = rest.first, UInt32(first) == character.value else { return false }
        rest = rest.dropFirst()
        return true
    }

    /// One to nine digits.
    mutating func number() -> Int64? {
        let digits = rest.prefix { (48...57).contains($0) }
        guard (1...9).contains(digits.count) else { return nil }
        rest = rest.dropFirst(digits.count)
        return digits.reduce(0) { $0 * 10 + Int64($1 - 48) }
    }

    mutating func fraction() -> Double? {
        let digits = rest.prefix { (48...57).contains($0) }
        guard !digits.isEmpty else { return nil }
        rest = rest.dropFirst(digits.count)
        var scale = 1.0
        return digits.prefix(9).reduce(0) { value, digit in
            scale /= 10
            return value + Double(digit - 48) * scale
        }
    }

    /// Seconds east of Greenwich; 0 when there is no offset.
    mutating func offset() -> Int64? {
        if isAtEnd || skip("Z") || skip("z") { return 0 }
        let sign: Int64 = skip("-") ? -1 : 1
        guard sign < 0 || skip("+"), let hours = number(), skip(":"), let minutes = number() else { return nil }
        return sign * (hours * 3600 + minutes * 60)
    }
}
