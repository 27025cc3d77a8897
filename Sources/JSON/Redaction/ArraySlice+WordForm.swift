extension ArraySlice<UInt8> {
    /// Whether it has a digit, or a capital within, as no word of a sentence has.
    var hasDigitOrInnerCapital: Bool {
        contains(where: \.isDigit) || dropFirst().contains(where: \.isCapital) && contains(where: \.isSmall)
    }

    /// Whether a UUID with its hyphens stands in it, as in the names of volumes.
    var holdsUUID: Bool {
        let length = 36
        guard count >= length else { return false }
        return (startIndex...endIndex - length).contains { start in
            (0..<length).allSatisfy {
                [8, 13, 18, 23].contains($0) ? self[start + $0] == .hyphen : self[start + $0].isHexadecimal
            }
        }
    }
}
