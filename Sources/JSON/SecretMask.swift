/// Masks secrets in text that is no JSON: log lines, error messages, damaged messages, other notations.
package enum SecretMask {
    /// The text with the value after each secret's name (`name=value`, `"name": "value"`, `'name': 'value'`, also with escaped
    /// quotes) and the password in each URL replaced by `***`.
    package static func masked(_ text: String) -> String { String(decoding: masked(Array(text.utf8)), as: UTF8.self) }

    /// As ``masked(_:)-(String)``, of any bytes.
    package static func masked(_ bytes: [UInt8]) -> [UInt8] {
        var output: [UInt8] = []
        output.reserveCapacity(bytes.count)
        var index = 0
        while index < bytes.count {
            if let range = urlPassword(in: bytes, at: index) {
                output.append(contentsOf: bytes[index..<range.lowerBound])
                output.append(contentsOf: mark)
                index = range.upperBound
            } else if isNamePart(bytes[index]) {
                let end = bytes[index...].firstIndex { !isNamePart($0) } ?? bytes.endIndex
                let name = String(decoding: bytes[index..<end], as: UTF8.self)
                guard JSONValue.isSecret(key: name), let range = value(in: bytes, after: end) else {
                    output.append(contentsOf: bytes[index..<end])
                    index = end
                    continue
                }
                output.append(contentsOf: bytes[index..<range.lowerBound])
                output.append(contentsOf: mark)
                index = range.upperBound
            } else {
                output.append(bytes[index])
                index += 1
            }
        }
        return output
    }

    private static let mark = Array(JSONValue.redactionMark.utf8)
    private static let quotes: Set<UInt8> = [UInt8(ascii: "\""), UInt8(ascii: "'")]
    private static let backslash = UInt8(ascii: "\\")
    private static let ends = Set(" \t\r\n,;&}]\"'".utf8)

    private static func isNamePart(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
            UInt8(ascii: "_"), UInt8(ascii: "-"):
            true
        default: false
        }
    }

    private static func isBlank(_ byte: UInt8) -> Bool { [0x09, 0x0a, 0x0d, 0x20].contains(byte) }

    /// Where the value stands that belongs to a name which ends at this offset; nil when none follows.
    private static func value(in bytes: [UInt8], after nameEnd: Int) -> Range<Int>? {
        var index = nameEnd
        func skip(_ isSkipped: (UInt8) -> Bool) { while index < bytes.count, isSkipped(bytes[index]) { index += 1 } }
        skip { $0 == backslash || quotes.contains($0) }
        skip(isBlank)
        guard index < bytes.count, bytes[index] == UInt8(ascii: ":") || bytes[index] == UInt8(ascii: "=") else { return nil }
        index += 1
        skip(isBlank)
        let escapeStart = index
        skip { $0 == backslash }
        let escapes = index - escapeStart
        guard index < bytes.count, quotes.contains(bytes[index]) else {
            let end = bytes[escapeStart...].firstIndex(where: ends.contains) ?? bytes.endIndex
            return end > escapeStart ? escapeStart..<end : nil
        }
        let quote = bytes[index]
        let start = index + 1
        // The closing quote is escaped as often as the opening one; one with more backslashes belongs to the value.
        var run = 0
        for offset in start..<bytes.count {
            if bytes[offset] == quote, run <= escapes { return start..<(offset - run) }
            run = bytes[offset] == backslash ? run + 1 : 0
        }
        return start..<bytes.count
    }

    /// Where the password of `://user:password@` stands when the `:` of `://` is at this offset.
    private static func urlPassword(in bytes: [UInt8], at index: Int) -> Range<Int>? {
        guard bytes[index...].starts(with: "://".utf8) else { return nil }
        let rest = bytes[(index + 3)...]
        let end = rest.firstIndex { $0 == UInt8(ascii: "/") || $0 <= 0x20 || quotes.contains($0) } ?? rest.endIndex
        guard let at = rest[..<end].lastIndex(of: UInt8(ascii: "@")),
            let colon = rest[..<at].firstIndex(of: UInt8(ascii: ":"))
        else { return nil }
        return colon + 1..<at
    }
}
