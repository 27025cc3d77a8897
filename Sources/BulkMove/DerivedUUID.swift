import VolumeSwap

/// UUIDs that are the same whenever they are derived from the same string.
enum DerivedUUID {
    /// A UUID of version 8 (RFC 9562) from the string's MD5 digest.
    static func text(_ source: String) -> String {
        var digits = Array(MD5.hexDigest("pivotd move\n" + source))
        digits[12] = "8"
        digits[16] = Array("89ab")[(digits[16].hexDigitValue ?? 0) & 3]
        let groups = [0..<8, 8..<12, 12..<16, 16..<20, 20..<32]
        return groups.map { String(digits[$0]) }.joined(separator: "-")
    }
}
