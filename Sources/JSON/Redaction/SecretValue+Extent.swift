/// How far a value goes.
extension SecretValue {
    /// A word of a command line, or an element of a list: in the quote that stands before it, or to the next blank.
    func argument(at index: Int) -> Range<Int>? {
        guard index < bytes.count else { return nil }
        if index > start, bytes[index - 1].isQuote {
            let escapes = bytes[start..<(index - 1)].reversed().prefix { $0 == .backslash }.count
            let end = closingQuote(bytes[index - 1], escapes, from: index)
            // What goes on behind the quote is still the value, as in a shell.
            let next = end + escapes + 1
            guard next < bytes.count, goesOn(bytes[next]) else { return index..<end }
            return index..<endOfPlain(from: next)
        }
        return index..<end(from: index, \.isBlank)
    }

    /// Whether a byte behind a closing quote belongs to the value still.
    private func goesOn(_ byte: UInt8) -> Bool { byte.isNamePart || byte.isQuote || byte == .plus || byte == UInt8(ascii: "$") }

    /// A value that begins here, with what opens it.
    func value(at index: Int) -> Range<Int>? {
        let prefixed = skip(from: index, \.isStringPrefix)
        let quote = skip(from: prefixed - index <= 2 ? prefixed : index) { $0 == .backslash }
        if quote < bytes.count, bytes[quote].isQuote {
            let escapes = bytes[index..<quote].reversed().prefix { $0 == .backslash }.count
            let end = closingQuote(bytes[quote], escapes, from: quote + 1)
            if bytes[quote + 1..<end].elementsEqual(JSONValue.redactionMark.utf8) { return quote + 1..<end }
            // What goes on behind the quote is still the value, as in a shell.
            let next = end + escapes + 1
            let after = skip(from: next) { $0 == .backslash }
            guard after < bytes.count, goesOn(bytes[after]) else { return quote + 1..<end }
            return quote + 1..<endOfPlain(from: next)
        }
        guard index < bytes.count else { return nil }
        let marked = index + JSONValue.redactionMark.utf8.count
        if bytes[index...].starts(with: JSONValue.redactionMark.utf8), marked == bytes.count || !bytes[marked].isLetterOrDigit {
            return index..<marked
        }
        if let close = closing(bytes[index]) {
            let isOfJSON = close == .closeBrace || close == .closeBracket
            guard let end = endOfBracket(from: index, close, limit: isOfJSON ? bytes.count : 500) else {
                return index..<(isOfJSON ? bytes.count : endOfPlain(from: index))
            }
            return index..<(end < bytes.count && bytes[end].isLetterOrDigit ? endOfPlain(from: end) : end)
        }
        if isNoValue(at: index) { return index..<index }
        let end = endOfPlain(from: index)
        return end > index ? index..<end : nil
    }

    /// Whether this says that there is no secret, or whether there is one.
    private func isNoValue(at index: Int) -> Bool {
        let word = bytes[index...].prefix(8).prefix(while: \.isLetterOrDigit)
        return ["null", "None", "nil", "true", "false", "True", "False", "YES", "NO"].contains { word.elementsEqual($0.utf8) }
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

    /// Behind the bracket that closes the one at this offset; nil when none does within the limit. Brackets in quotes are none.
    private func endOfBracket(from start: Int, _ close: UInt8, limit: Int) -> Int? {
        let open = bytes[start]
        var depth = 0
        var index = start
        var backslashes = 0
        let last = min(bytes.count, start + limit)
        while index < last {
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
            // A bracket right behind a word is a call's: `Secret(value='x')`.
            let isCall = bytes[separators] == .openParenthesis && separators > start
            if !isHeader, !isCall, isNameWithSign(at: index) { return separators }
        }
        return index
    }

    func isNameWithSign(at index: Int) -> Bool {
        let limit = 64
        guard index < bytes.count, bytes[index].isNamePart, !bytes[index].isDigit else { return false }
        let name = bytes[index...].prefix(limit).prefix { $0.isNamePart || $0 == .dot }
        let sign = skip(from: skip(from: name.endIndex) { $0 == .backslash || $0.isQuote }) { $0 == .space }
        guard sign < bytes.count, bytes[sign] == .colon || bytes[sign] == .equals else { return false }
        // Base64 ends with equals signs.
        return bytes[(sign + 1)...].first.map { $0 != .equals && !$0.isLineEnd } ?? false
    }

    /// The lines of `name: |` and `name: >`, which are indented more than the line of the name.
    func yamlBlock(_ index: Int) -> Range<Int>? {
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
