extension [UInt8] {
    /// The bytes with these ranges replaced by `***`.
    ///
    /// - Parameter ranges: in ascending order.
    package func masking(_ ranges: [Range<Int>]) -> [UInt8] {
        var output: [UInt8] = []
        var written = 0
        for range in ranges {
            output += self[written..<range.lowerBound]
            output += JSONValue.redactionMark.utf8
            written = range.upperBound
        }
        return output + self[written...]
    }
}

extension ArraySlice<UInt8> {
    /// Whether it contains a UUID, as volume names do.
    package var holdsUUID: Bool {
        guard count >= 36 else { return false }
        return (startIndex...endIndex - 36).contains { start in
            (0..<36).allSatisfy { [8, 13, 18, 23].contains($0) ? self[start + $0] == .hyphen : self[start + $0].isHexadecimal }
        }
    }
}
