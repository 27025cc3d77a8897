/// Where the value stands that belongs to a secret's name, in the notation that follows the name.
struct SecretValue {
    let bytes: [UInt8]
    var text: EscapedText { EscapedText(bytes) }
    /// Where the name ends.
    let start: Int
    let isHeader: Bool

    init(_ bytes: [UInt8], after start: Int, isHeader: Bool = false) {
        self.bytes = bytes
        self.start = start
        self.isHeader = isHeader
    }

    /// Whether an equals sign follows the name.
    var isAssigned: Bool { bytes[skip(from: start, \.isBlank)...].first == .equals }

    /// Whether a colon follows the name.
    var isDeclared: Bool { bytes[skip(from: start, \.isBlank)...].first == .colon }

    /// Whether a sign follows the name, and then what begins as 16 bytes in Base64 do.
    var beginsAsKey: Bool {
        guard let start = endOfSign().map(startOfValue) else { return false }
        let value = bytes[skip(from: start) { $0.isQuote || $0 == .backslash }...].prefix(22)
        return value.count == 22 && value.allSatisfy { $0.isLetterOrDigit || $0 == .plus || $0 == .slash }
    }

    /// `name=value`, `'name': value`, `d["name"] = value`, `name => value`, `name%3Dvalue`.
    func ofName() -> Range<Int>? {
        guard let sign = endOfSign() else { return nil }
        let start = startOfValue(after: sign)
        // Of a name without a value the next line has the next name.
        if bytes[sign..<start].contains(where: \.isLineEnd), isNameWithSign(at: start) { return start..<start }
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
    private func startOfValue(after sign: Int) -> Int {
        text.skip(from: sign) { byte, isEscaped in byte.isBlank || isEscaped && byte.isQuote }
    }

    /// `--name value`, `-n name -v value`, and both as elements of a list.
    func ofOption(isDashed: Bool) -> Range<Int>? {
        let index = skipListed(from: start)
        for option in ["-v", "--value"] where bytes[index...].starts(with: option.utf8) {
            let end = index + option.utf8.count
            let value = skipListed(from: bytes[end...].first == .equals ? end + 1 : end)
            if value > end { return argument(at: value) }
        }
        // 'name': 'auth_password', 'value': …
        if index > start, bytes[index...].starts(with: "value".utf8) { return SecretValue(bytes, after: index + 5).ofName() }
        guard isDashed, index > start, index < bytes.count, bytes[index] != .hyphen else { return nil }
        return argument(at: index)
    }

    /// Also behind the letter before a quote that Python writes: `('a', u'b')`.
    private func skipListed(from index: Int) -> Int {
        let next = skip(from: index, \.isListed)
        guard next + 1 < bytes.count, bytes[next].isStringPrefix, bytes[next + 1].isQuote else { return next }
        return skip(from: next + 1, \.isListed)
    }

    /// `<key>name</key><string>value</string>`, as in property lists and XML-RPC.
    func inNextElement() -> Range<Int>? {
        guard bytes[start...].starts(with: "</".utf8) else { return nil }
        let next = skip(from: end(from: start) { $0 == .greater } + 1, \.isBlank)
        guard next + 1 < bytes.count, bytes[next] == .less, bytes[next + 1].isLetterOrDigit else { return nil }
        return SecretValue(bytes, after: next + 1).ofElement()
    }

    /// `<name>value</name>`.
    ///
    /// - Parameter depth: the further elements below which the value may stand.
    func ofElement(depth limit: Int = 4) -> Range<Int>? {
        var index = start
        for depth in 0... {
            let close = end(from: index) { $0 == .greater || $0 == .less }
            guard close < bytes.count, bytes[close] == .greater, bytes[close - 1] != .slash else { return nil }
            index = skip(from: close + 1, \.isBlank)
            guard index + 1 < bytes.count, bytes[index] == .less, bytes[index + 1].isLetterOrDigit else { break }
            guard depth < limit else { return nil }
            index += 1
        }
        let isCharacterData = bytes[index...].starts(with: "<!".utf8)
        var end = end(from: index) { $0 == .less }
        if isCharacterData { end = self.end(from: index + 1) { $0 == .less } }
        return index..<end
    }

    /// `<secret …><usage …/><value>value</value></secret>`.
    func ofValueElement() -> Range<Int>? {
        let element = bytes[start...].prefix(2000)
        let value = element.indices.first { element[$0] == .less && element[$0...].starts(with: "<value".utf8) }
        return value.flatMap { SecretValue(bytes, after: $0 + 6).ofElement() }
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

    /// A value after a name in a binary format: nobody knows how long it is.
    func inBinary() -> Range<Int>? {
        guard start < bytes.count, bytes[start].isControl || isNoUTF8(at: start) else { return nil }
        return start..<bytes.count
    }

    func skip(from index: Int, _ isSkipped: (UInt8) -> Bool) -> Int { end(from: index) { !isSkipped($0) } }

    func end(from index: Int, _ isEnd: (UInt8) -> Bool) -> Int {
        bytes[min(index, bytes.count)...].firstIndex(where: isEnd) ?? bytes.count
    }

    private func isNoUTF8(at index: Int) -> Bool {
        guard bytes[index] >= 0x80 else { return false }
        let isLead = bytes[index] >= 0xc2
        return !isLead || index + 1 == bytes.count || bytes[index + 1] & 0xc0 != 0x80
    }
}
