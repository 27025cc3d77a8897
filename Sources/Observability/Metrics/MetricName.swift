/// Adapts names and values to the Prometheus text format 0.0.4.
enum MetricName {
    /// A metric name in the alphabet `[a-zA-Z_:][a-zA-Z0-9_:]*`.
    ///
    /// - Parameter name: Any string; characters outside the alphabet become `_`.
    static func metric(_ name: String) -> String {
        sanitized(name, allowingColon: true)
    }

    /// A label name in the alphabet `[a-zA-Z_][a-zA-Z0-9_]*`, without the reserved `__` prefix and the names reserved for
    /// histograms.
    static func label(_ name: String) -> String {
        var name = sanitized(name, allowingColon: false)
        while name.hasPrefix("__") { name.removeFirst() }
        return name == "le" || name == "quantile" ? "exported_\(name)" : name
    }

    private static func sanitized(_ name: String, allowingColon: Bool) -> String {
        var bytes = name.utf8.map { byte -> UInt8 in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
                byte
            case UInt8(ascii: ":") where allowingColon: byte
            default: UInt8(ascii: "_")
            }
        }
        if bytes.first.map({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) ?? true {
            bytes.insert(UInt8(ascii: "_"), at: 0)
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Escapes a label value: backslash, double quote and line feed.
    static func escapedLabelValue(_ value: String) -> String {
        escaped(value, quotes: true)
    }

    /// Escapes a HELP line: backslash and line feed.
    static func escapedHelp(_ text: String) -> String {
        escaped(text, quotes: false)
    }

    private static func escaped(_ text: String, quotes: Bool) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\"" where quotes: result += "\\\""
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    /// A sample value as Prometheus reads it: whole numbers without a fraction, `+Inf`, `-Inf`, `NaN`.
    static func value(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        if let whole = Int64(exactly: value) { return String(whole) }
        return "\(value)"
    }
}
