/// A value that no sign ties to its name.
extension SecretValue {
    /// `name 'value'`, `name is value`, `name(value)`, `| name | value |`: a quoted text or a word that no sentence has, with at most
    /// two other words before it.
    func nearby() -> Range<Int>? {
        var index = start
        for words in 0...2 {
            let word = text.skip(from: index) { byte, isEscaped in
                !byte.isLetterOrDigit && (isEscaped || !byte.isLineEnd) && byte < 0x80
            }
            guard word > index, word - index <= 32, word < bytes.count, bytes[word].isLetterOrDigit,
                !bytes[index..<word].allSatisfy(\.isOfIdentifier)
            else { return nil }
            if bytes[word - 1].isQuote {
                guard let range = argument(at: word), !bytes[range].holdsUUID, !isKey(endingAt: range.upperBound) else {
                    return nil
                }
                // In a list of names one stands behind the other.
                let isSure = words < 2 && !bytes[index..<word].contains(.comma)
                return isSure || Self.looksSecret(bytes[range]) ? range : nil
            }
            let isPath = bytes[word - 1] == .slash && word >= 2 && bytes[word - 2].isBlank
            let end = end(from: word) { $0.isBlank || $0.isQuote || ($0.isSeparator || $0 == .pipe) }
            if isPath || bytes[word..<end].holdsUUID { return nil }
            if Self.looksSecret(bytes[word..<end]) { return word..<end }
            guard bytes[word..<end].allSatisfy({ $0.isLetterOrDigit || $0 == .colon }) else { return nil }
            index = end
        }
        return nil
    }

    /// Whether a quoted text is followed by a colon: in `"secret", "id": …` it belongs to what comes.
    private func isKey(endingAt end: Int) -> Bool {
        let behind = skip(from: end) { $0 == .backslash || $0.isQuote }
        return bytes[skip(from: behind, \.isBlank)...].first == .colon
    }

    /// Whether this has a digit, or a capital within, and is no `name=value`.
    private static func looksSecret(_ word: ArraySlice<UInt8>) -> Bool {
        let isPair = word.dropLast(2).contains { $0 == .equals || $0 == .colon }
        return word.count >= 5 && !isPair && word.hasDigitOrInnerCapital
    }
}
