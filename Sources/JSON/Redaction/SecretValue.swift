/// Where the value stands that belongs to a secret's name, in the notation that follows the name.
struct SecretValue {
    private let bytes: [UInt8]
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
        guard let sign = endOfSign() else { return false }
        let value = bytes[skip(from: sign) { $0.isBlank || $0.isQuote || $0 == .backslash }...].prefix(22)
        return value.count == 22 && value.allSatisfy { $0.isLetterOrDigit || $0 == .plus || $0 == .slash }
    }

    /// `name=value`, `'name': value`, `d["name"] = value`, `name => value`.
    func ofName() -> Range<Int>? {
        guard let sign = endOfSign() else { return nil }
        return yamlBlock(sign) ?? value(at: skip(from: sign, \.isBlank))
    }

    private func endOfSign() -> Int? {
        var index = skip(from: start) { $0 == .backslash || $0.isQuote || $0 == .closeBracket }
        index = skip(from: index, \.isBlank)
        guard index < bytes.count, bytes[index] == .colon || bytes[index] == .equals else { return nil }
        return skip(from: index) { $0 == .colon || $0 == .equals || $0 == .greater }
    }

    /// `--name value`, `-n name -v value`, and both as elements of a list.
    func ofOption(isDashed: Bool) -> Range<Int>? {
        let index = skip(from: start, \.isListed)
        let word = end(from: index) { $0.isListed }
        let isValueOption = ["-v", "--value"].contains { bytes[index..<word].elementsEqual($0.utf8) }
        if isValueOption { return argument(at: skip(from: word, \.isListed)) }
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

    /// `name 'value'`, `name is value`, as far as the value is a word that no sentence has.
    func inSentence() -> Range<Int>? {
        var index = skip(from: start, \.isBlank)
        guard index > start else { return nil }
        for word in ["is ", "was ", "of ", "value "] where bytes[index...].starts(with: word.utf8) {
            index = skip(from: index + word.utf8.count, \.isBlank)
            break
        }
        guard index < bytes.count else { return nil }
        if bytes[skip(from: index) { $0 == .backslash }...].first?.isQuote == true { return value(at: index) }
        let end = end(from: index) { $0.isBlank || $0 == .comma || $0 == .semicolon }
        let word = bytes[index..<end]
        let isPair = word.dropLast(2).contains { $0 == .equals || $0 == .colon }
        return !isPair && word.contains(where: \.isDigit) || Self.hasInnerCapital(word) ? index..<end : nil
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

    private static func hasInnerCapital(_ word: ArraySlice<UInt8>) -> Bool {
        word.dropFirst().contains(where: \.isCapital) && word.contains(where: \.isSmall)
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
            // What goes on behind the quote is still the value, as in a shell.
            let next = end + escapes + 1
            guard next < bytes.count, bytes[next].isLetterOrDigit || bytes[next].isQuote else { return quote + 1..<end }
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
