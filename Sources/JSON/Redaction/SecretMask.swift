/// Masks secrets in text that is no JSON: error messages, damaged messages, other notations.
enum SecretMask {
    /// The text with each secret replaced by `***`; see ``SecretScanner`` for what is recognised.
    static func masked(_ text: String) -> String { String(decoding: masked(Array(text.utf8)), as: UTF8.self) }

    /// As ``masked(_:)-(String)``, of any bytes.
    static func masked(_ bytes: [UInt8]) -> [UInt8] {
        var scanner = SecretScanner(bytes)
        return masked(bytes, scanner.secrets())
    }

    /// The bytes with these ranges, which ascend, replaced by `***`.
    static func masked(_ bytes: [UInt8], _ ranges: [Range<Int>]) -> [UInt8] {
        guard !ranges.isEmpty else { return bytes }
        var output: [UInt8] = []
        output.reserveCapacity(bytes.count)
        var written = 0
        for range in ranges {
            output += bytes[written..<range.lowerBound]
            output += JSONValue.redactionMark.utf8
            written = range.upperBound
        }
        return output + bytes[written...]
    }
}
