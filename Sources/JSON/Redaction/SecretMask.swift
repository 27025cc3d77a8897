/// Puts the mark in the place of secrets.
enum SecretMask {
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
