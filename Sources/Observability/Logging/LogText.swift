import Basics

/// Escapes what would let a logged value forge or break a line.
enum LogText {
    /// Control characters, line and paragraph separators and bidirectional overrides as `\n`, `\r`, `\t` or `\u{…}`.
    static func escapingControls(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: \.isUnsafeInText) else { return text }
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            case _ where scalar.isUnsafeInText: result += "\\u{\(String(scalar.value, radix: 16))}"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    /// A metadata value for a text line: bare if it is a single word, else in double quotes.
    static func value(_ text: String) -> String {
        let isWord = !text.isEmpty && !text.unicodeScalars.contains { $0 == " " || $0 == "\"" || $0 == "=" || $0.isUnsafeInText }
        if isWord { return text }
        let quoted = text.split(separator: "\\", omittingEmptySubsequences: false).joined(separator: "\\\\")
            .split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\\\"")
        return "\"\(escapingControls(quoted))\""
    }

    /// A JSON string with its quotes (RFC 8259), ASCII controls and separators escaped: all are below U+FFFF, so four digits suffice.
    static func json(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            case _ where scalar.isUnsafeInText: result += "\\u" + scalar.value.padded(to: 4, radix: 16)
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}
