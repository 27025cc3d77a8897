import JSON
import OrderedCollections
import OsloMessaging

extension CaptureLine {
    /// The line with every password, key and token replaced by `***`, in headers and body; it can still be replayed.
    package func redacted() -> CaptureLine {
        var line = self
        line.properties.headers = JSONValue.object(properties.headers).redacted().objectValue ?? [:]
        switch body {
        case .json(let value): line.body = .json(LooseText.masked(value.redacted()))
        case .bytes(let bytes): line.body = .bytes(LooseText.masked(bytes))
        }
        return line
    }
}

/// Masks secrets in what only looks like JSON: cut off, mistyped, or in another notation.
enum LooseText {
    /// Masks within the texts of a value that JSON's own redaction could not read.
    static func masked(_ value: JSONValue) -> JSONValue {
        switch value {
        case .object(let members): .object(members.mapValues(masked))
        case .array(let elements): .array(elements.map(masked))
        case .string(let text) where needsLook(text): .string(masked(text))
        default: value
        }
    }

    private static func needsLook(_ text: String) -> Bool {
        text.utf8.contains(UInt8(ascii: ":")) || text.utf8.contains(UInt8(ascii: "="))
    }

    private static func masked(_ text: String) -> String {
        if (try? JSONValue(parsing: text))?.isContainer == true { return text }
        let bytes = Array(text.utf8)
        let clean = masked(bytes)
        return clean == bytes ? text : String(decoding: clean, as: UTF8.self)
    }

    /// Replaces the value after each name of a secret: `"auth_password": "x"`, `\"token\":\"x\"`, `password=x`.
    static func masked(_ bytes: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(bytes.count)
        var index = 0
        while index < bytes.count {
            let start = index
            while index < bytes.count, isName(bytes[index]) { index += 1 }
            guard index > start else {
                result.append(bytes[index])
                index += 1
                continue
            }
            result += bytes[start..<index]
            guard (3...128).contains(index - start), let value = valueStart(bytes, after: index),
                JSONValue.isSecret(key: String(decoding: bytes[start..<index], as: UTF8.self))
            else { continue }
            result += bytes[index..<value]
            let end = valueEnd(bytes, from: value, quote: quote(bytes, before: value))
            if end > value { result += Array(JSONValue.redactionMark.utf8) }
            index = end
        }
        return result
    }

    private static func isName(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
            UInt8(ascii: "_"), UInt8(ascii: "-"):
            true
        default: false
        }
    }

    private static func isQuote(_ byte: UInt8) -> Bool { byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'") }

    /// Where the value of a name begins, behind its colon or equals sign and the quotes and backslashes around.
    private static func valueStart(_ bytes: [UInt8], after end: Int) -> Int? {
        var index = end
        var hasSign = false
        while index < bytes.count, index < end + 64 {
            switch bytes[index] {
            case UInt8(ascii: ":"), UInt8(ascii: "="):
                if hasSign { return index }
                hasSign = true
            case UInt8(ascii: "\\"), UInt8(ascii: "\""), UInt8(ascii: "'"), 0x09, 0x0a, 0x0d, 0x20:
                // A quote behind the sign opens the value.
                if hasSign, isQuote(bytes[index]) { return index + 1 }
            default: return hasSign ? index : nil
            }
            index += 1
        }
        return hasSign ? index : nil
    }

    /// The quote and the number of backslashes that escape it, when the value has one.
    private static func quote(_ bytes: [UInt8], before value: Int) -> (mark: UInt8, depth: Int)? {
        guard value > 0, isQuote(bytes[value - 1]) else { return nil }
        var depth = 0
        while value - 2 - depth >= 0, bytes[value - 2 - depth] == UInt8(ascii: "\\") { depth += 1 }
        return (bytes[value - 1], depth)
    }

    private static func valueEnd(_ bytes: [UInt8], from value: Int, quote: (mark: UInt8, depth: Int)?) -> Int {
        var index = value
        var backslashes = 0
        while index < bytes.count {
            let byte = bytes[index]
            if let quote {
                if byte == quote.mark, backslashes <= quote.depth { return index - backslashes }
                backslashes = byte == UInt8(ascii: "\\") ? backslashes + 1 : 0
            } else if [0x09, 0x0a, 0x0d, 0x20].contains(byte) || ",}]&;".utf8.contains(byte) || isQuote(byte) {
                return index
            }
            index += 1
        }
        return index
    }
}

extension JSONValue {
    fileprivate var isContainer: Bool { arrayValue != nil || objectValue != nil }
}
