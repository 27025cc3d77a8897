/// Where the value stands that belongs to a secret's name, in the notation that follows the name.
struct SecretValue {
    private let bytes: [UInt8]
    private var text: EscapedText { EscapedText(bytes) }
    /// Where the name ends.
    private let start: Int
    private let isHeader: Bool

    init(_ bytes: [UInt8], after start: Int, isHeader: Bool = false) {
        self.bytes = bytes
        self.start = start
        self.isHeader = isHeader
    }

    /// Whether an equals sign follows the name.
    var isAssigned: Bool { bytes[skip(from: start, \.isBlank)...].first == .equals }

    /// Whether a sign follows the name, and then what begins as 16 bytes in Base64 do.
    var beginsAsKey: Bool {
        guard let start = startOfValue() else { return false }
        let value = bytes[skip(from: start) { $0.isQuote || $0 == .backslash }...].prefix(22)
        return value.count == 22 && value.allSatisfy { $0.isLetterOrDigit || $0 == .plus || $0 == .slash }
    }

    /// `name=value`, `'name': value`, `d["name"] = value`, `name => value`, `name%3Dvalue`.
    func ofName() -> Range<Int>? {
        guard let sign = endOfSign(), let start = startOfValue() else { return nil }
        return yamlBlock(sign) ?? value(at: start)
    }

    private func endOfSign() -> Int? {
        let sign = text.skip(from: start) { byte, _ in byte == .backslash || byte.isQuote || byte == .closeBracket || byte.isBlank
        }
        guard sign < bytes.count else { return nil }
        let isArrow = bytes[sign...].starts(with: "->".utf8)
        let byte = text.unit(at: sign).byte
        guard isArrow || byte == .colon || byte == .equals else { return nil }
        return text.skip(from: isArrow ? sign + 1 : sign) { byte, _ in byte == .colon || byte == .equals || byte == .greater }
    }

    /// Behind the sign and what is blank, and behind quotes that are escaped in a way that no value is read in.
    private func startOfValue() -> Int? {
        endOfSign().map { text.skip(from: $0) { byte, isEscaped in byte.isBlank || isEscaped && byte.isQuote } }
    }

    /// `--name value`, `-n name -v value`, and both as elements of a list.
    func ofOption(isDashed: Bool) -> Range<Int>? {
        let index = skip(from: start, \.isListed)
        for option in ["-v", "--value"] where bytes[index...].starts(with: option.utf8) {
            let end = index + option.utf8.count
            let value = skip(from: end, \.isListed)
            if value > end { return argument(at: value) }
        }
        guard isDashed, index > start, index < bytes.count, bytes[index] != .hyphen else { return nil }
        return argument(at: index)
    }

    /// `<name>value</name>`, also below further elements.
    func ofElement() -> Range<Int>? {
        var index = start
        for depth in 0... {
            let close = end(from: index) { $0 == .greater || $0 == .less }
            guard close < bytes.count, bytes[close] == .greater, bytes[close - 1] != .slash else { return nil }
            index = skip(from: close + 1, \.isBlank)
            guard depth < 4, index + 1 < bytes.count, bytes[index] == .less, bytes[index + 1] != .slash else { break }
            index += 1
        }
        let end = end(from: index) { $0 == .less }
        return index..<end
    }

    /// `<name value="value">`, `<param name="name" value="value">`.
    func ofAttribute() -> Range<Int>? {
        let tag = bytes[start...].prefix(1000).prefix { $0 != .greater }
        let name = tag.indices.first {
            tag[$0] == UInt8(ascii: "v") && tag[$0...].starts(with: "value".utf8) && !bytes[$0 - 1].isNamePart
        }
        return name.flatMap { SecretValue(bytes, after: $0 + 5).ofName() }
    }

    /// All up to the next blank or quote.
    func ofWord() -> Range<Int>? {
        let end = end(from: start) { $0.isBlank || $0.isQuote }
        return end > start ? start..<end : nil
    }

    /// `name 'value'`, `name is value`, `name(value)`, `| name | value |`: a quoted text or a word that no sentence has, with at most
    /// one other word before it.
    func nearby() -> Range<Int>? {
        var index = start
        for _ in 0...1 {
            let word = text.skip(from: index) { byte, isEscaped in
                !byte.isLetterOrDigit && (isEscaped || !byte.isLineEnd) && byte < 0x80
            }
            guard word > index, word - index <= 32, word < bytes.count, bytes[word].isLetterOrDigit,
                !bytes[index..<word].allSatisfy(\.isOfIdentifier)
            else { return nil }
            if bytes[word - 1].isQuote {
                guard let range = argument(at: word), !Self.holdsUUID(bytes[range]), !isKey(endingAt: range.upperBound) else {
                    return nil
                }
                return range
            }
            let isPath = bytes[word - 1] == .slash && word >= 2 && bytes[word - 2].isBlank
            let end = end(from: word) { $0.isBlank || $0.isQuote || ($0.isSeparator || $0 == .pipe) }
            if isPath || Self.holdsUUID(bytes[word..<end]) { return nil }
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
        let hasInnerCapital = word.dropFirst().contains(where: \.isCapital) && word.contains(where: \.isSmall)
        return word.count >= 5 && !isPair && (word.contains(where: \.isDigit) || hasInnerCapital)
    }

    /// As in the names of secrets and volumes.
    private static func holdsUUID(_ word: ArraySlice<UInt8>) -> Bool {
        let length = 36
        guard word.count >= length else { return false }
        return (word.startIndex...word.endIndex - length).contains { start in
            (0..<length).allSatisfy {
                [8, 13, 18, 23].contains($0) ? word[start + $0] == .hyphen : word[start + $0].isHexadecimal
            }
        }
    }

    /// A value after a name in a binary format: nobody knows how long it is.
    func inBinary() -> Range<Int>? {
        guard start < bytes.count, bytes[start].isControl || isNoUTF8(at: start) else { return nil }
        return start..<bytes.count
    }

    private func skip(from index: Int, _ isSkipped: (UInt8) -> Bool) -> Int { end(from: index) { !isSkipped($0) } }

    private func end(from index: Int, _ isEnd: (UInt8) -> Bool) -> Int {
        bytes[min(index, bytes.count)...].firstIndex(where: isEnd) ?? bytes.count
    }

    private func isNoUTF8(at index: Int) -> Bool {
        guard bytes[index] >= 0x80 else { return false }
        let isLead = bytes[index] >= 0xc2
        return !isLead || index + 1 == bytes.count || bytes[index + 1] & 0xc0 != 0x80
    }

    /// A word of a command line, or an element of a list: in the quote that stands before it, or to the next blank.
    private func argument(at index: Int) -> Range<Int>? {
        guard index < bytes.count else { return nil }
        if index > start, bytes[index - 1].isQuote {
            let escapes = bytes[start..<(index - 1)].reversed().prefix { $0 == .backslash }.count
            return index..<closingQuote(bytes[index - 1], escapes, from: index)
        }
        return index..<end(from: index, \.isBlank)
    }

    private func value(at index: Int) -> Range<Int>? {
        let prefixed = skip(from: index, \.isStringPrefix)
        let quote = skip(from: prefixed - index <= 2 ? prefixed : index) { $0 == .backslash }
        if quote < bytes.count, bytes[quote].isQuote {
            let escapes = bytes[index..<quote].reversed().prefix { $0 == .backslash }.count
            let end = closingQuote(bytes[quote], escapes, from: quote + 1)
            if bytes[quote + 1..<end].elementsEqual(JSONValue.redactionMark.utf8) { return quote + 1..<end }
            // What goes on behind the quote is still the value, as in a shell.
            let next = end + escapes + 1
            let after = skip(from: next) { $0 == .backslash }
            guard after < bytes.count, bytes[after].isLetterOrDigit || bytes[after].isQuote else { return quote + 1..<end }
            return quote + 1..<endOfPlain(from: next)
        }
        guard index < bytes.count else { return nil }
        let marked = index + JSONValue.redactionMark.utf8.count
        if bytes[index...].starts(with: JSONValue.redactionMark.utf8), marked == bytes.count || !bytes[marked].isLetterOrDigit {
            return index..<marked
        }
        if let close = closing(bytes[index]) {
            guard let end = endOfBracket(from: index, close) else {
                return index..<(close == .closeBrace || close == .closeBracket ? bytes.count : endOfPlain(from: index))
            }
            return index..<(end < bytes.count && bytes[end].isLetterOrDigit ? endOfPlain(from: end) : end)
        }
        let end = endOfPlain(from: index)
        return end > index ? index..<end : nil
    }

    /// Where the quote stands, with its backslashes, that closes a text: it is escaped as often as the opening one; one with more
    /// backslashes belongs to the text.
    private func closingQuote(_ quote: UInt8, _ escapes: Int, from start: Int) -> Int {
        var run = 0
        for index in start..<bytes.count {
            if bytes[index] == quote, run <= escapes { return index - run }
            run = bytes[index] == .backslash ? run + 1 : 0
        }
        return bytes.count
    }

    private func closing(_ bracket: UInt8) -> UInt8? {
        switch bracket {
        case .openBrace: .closeBrace
        case .openBracket: .closeBracket
        case .openParenthesis: .closeParenthesis
        case .less: .greater
        default: nil
        }
    }

    /// Behind the bracket that closes the one at this offset; nil when none does. Brackets in quotes are none.
    private func endOfBracket(from start: Int, _ close: UInt8) -> Int? {
        let open = bytes[start]
        var depth = 0
        var index = start
        var backslashes = 0
        while index < bytes.count {
            let byte = bytes[index]
            if byte.isQuote { index = closingQuote(byte, backslashes, from: index + 1) + backslashes }
            if byte == open { depth += 1 }
            if byte == close { depth -= 1 }
            if depth == 0 { return index + 1 }
            backslashes = byte == .backslash ? backslashes + 1 : 0
            index += 1
        }
        return nil
    }

    /// Where a value without quotes ends: before the next name with its sign, or with the line.
    private func endOfPlain(from start: Int) -> Int {
        var index = start
        while index < bytes.count, !bytes[index].isLineEnd {
            guard bytes[index].isSeparator else {
                index += 1
                continue
            }
            let separators = index
            index = end(from: index) { !$0.isSeparator }
            if !isHeader, isNameWithSign(at: index) { return separators }
        }
        return index
    }

    private func isNameWithSign(at index: Int) -> Bool {
        let limit = 64
        guard index < bytes.count, bytes[index].isNamePart, !bytes[index].isDigit else { return false }
        let name = bytes[index...].prefix(limit).prefix { $0.isNamePart || $0 == .dot }
        let sign = skip(from: skip(from: name.endIndex) { $0 == .backslash || $0.isQuote }) { $0 == .space }
        guard sign < bytes.count, bytes[sign] == .colon || bytes[sign] == .equals else { return false }
        // Base64 ends with equals signs.
        return bytes[(sign + 1)...].first.map { $0 != .equals && !$0.isLineEnd } ?? false
    }

    /// The lines of `name: |` and `name: >`, which are indented more than the line of the name.
    private func yamlBlock(_ index: Int) -> Range<Int>? {
        let mark = skip(from: index) { $0 == .space }
        guard mark < bytes.count, bytes[mark] == .pipe || bytes[mark] == .greater else { return nil }
        let firstEnd = skip(from: mark + 1) { $0.isDigit || $0 == .hyphen || $0 == .plus || $0 == .space }
        guard firstEnd < bytes.count, bytes[firstEnd].isLineEnd else { return nil }
        let lineStart = bytes[..<start].lastIndex(where: \.isLineEnd).map { $0 + 1 } ?? 0
        let indentation = indentation(at: lineStart)
        var last = firstEnd + 1
        var next = last
        while next < bytes.count {
            let lineEnd = end(from: next, \.isLineEnd)
            let isBlank = bytes[next..<lineEnd].allSatisfy(\.isBlank)
            guard isBlank || self.indentation(at: next) > indentation else { break }
            if !isBlank { last = lineEnd }
            next = lineEnd + 1
        }
        return min(firstEnd + 1, last)..<last
    }

    private func indentation(at line: Int) -> Int { skip(from: line) { $0 == .space || $0 == .tab || $0 == .hyphen } - line }
}
