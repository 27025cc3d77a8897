/// Finds where secrets stand in text.
///
/// A secret is what belongs to a secret's name (``SecretName``): `name=value`, `"name": "value"` with quotes escaped as often as you
/// like, `name => [value]`, `name%3Dvalue`, `--name value`, `<name>value</name>`, `-n name -v value`, `name 'value'`, a YAML block, a
/// binary format's value; the password in a URL; a private key in PEM. When it cannot be told where a value ends, all that it may be
/// is taken: to the end of the line, or of the text. In time linear in the text.
struct SecretScanner {
    private let bytes: [UInt8]
    /// Without anything that only a text of words has: an address, a path, a name.
    private let isIdentifier: Bool
    /// Up to here the text has been read.
    private var index = 0
    private var word: (end: Int, lastAt: Int?) = (0, nil)

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
        isIdentifier = bytes.allSatisfy { $0.isOfIdentifier || [.colon, .equals, .comma, .percent, .ampersand].contains($0) }
    }

    /// The ranges of the secrets, ascending, none of them empty.
    mutating func secrets() -> [Range<Int>] {
        var found: [Range<Int>] = []
        // The directories of a path are called as they like; not so what follows a question mark.
        if isIdentifier, bytes.first == .slash, !bytes.contains(UInt8(ascii: "?")) { return [] }
        while index < bytes.count {
            guard let range = next() else { continue }
            if !range.isEmpty { found.append(range) }
            index = max(index, range.upperBound)
        }
        return found
    }

    /// Reads a step on: past a name, or a byte that is none.
    private mutating func next() -> Range<Int>? {
        if bytes[index] == .colon, let password = urlPassword() { return password }
        if bytes[index] == .hyphen, let key = privateKey() { return key }
        if bytes[index] == UInt8(ascii: "A"), let key = cephKey() { return key }
        guard bytes[index].isNamePart else {
            index += 1
            return nil
        }
        let start = index
        index = endOfName(start)
        let letters = bytes[start..<index].firstIndex { $0 != .hyphen } ?? index
        let name = bytes.span.extracting(letters..<index)
        if SecretName.isToken(name) { return letters..<index }
        return value(of: name, from: start, isDashed: letters > start) ?? valueBehindEscape(start)
    }

    /// In `\tkey`, where the t is no part of the name.
    private func valueBehindEscape(_ start: Int) -> Range<Int>? {
        guard start > 0, bytes[start - 1] == .backslash, index > start + 1, "ntr".utf8.contains(bytes[start]) else { return nil }
        return value(of: bytes.span.extracting(start + 1..<index), from: start + 1, isDashed: false)
    }

    /// The value of a name that ends at ``index``; nil when it is no secret's.
    private func value(of name: Span<UInt8>, from start: Int, isDashed: Bool) -> Range<Int>? {
        let isQuoted = start > 0 && bytes[start - 1].isQuote && isQuote(at: index)
        if SecretName.isSecret(name) || isQuoted && SecretName.isSecretMember(name) {
            let value = SecretValue(bytes, after: index, isHeader: SecretName.isHeader(name))
            if isAddressPart(start) { return value.isAssigned ? value.ofName() : nil }
            if let range = value.ofName() { return range }
            if let range = value.inNextElement() { return range }
            if isInTag(start) {
                return value.ofAttribute()
                    ?? (SecretName.isObject(name) ? value.ofValueElement() ?? value.ofElement(depth: 0) : value.ofElement())
            }
            return value.ofOption(isDashed: isDashed) ?? value.inBinary() ?? value.nearby()
        }
        let value = SecretValue(bytes, after: index)
        if SecretName.isSecretOption(name) {
            if value.isAssigned { return value.ofName() }
            return value.isDeclared ? value.nearby() : nil
        }
        if SecretName.isScheme(name) { return value.nearby() }
        if SecretName.isKey(name) {
            if isLegacyOption(start) || value.beginsAsKey { return value.ofName() }
            return isNamedKey(start) ? value.ofName() ?? value.nearby() : nil
        }
        if SecretName.isData(name), isOfSecretObject(start) { return value.ofName() }
        return SecretName.isNVMeKey(name) ? value.ofWord() : nil
    }

    /// Whether a colon behind the name that begins here is no sign: it ends a path (`/etc/token: Permission denied`), or belongs to
    /// an address (`secret-nas:/export`, `token1:3260`).
    private func isAddressPart(_ start: Int) -> Bool {
        let before = bytes[..<start].suffix(200)
        let isWordEnd: (UInt8) -> Bool = { $0.isBlank || $0.isQuote || $0 == .equals || $0 == .less || $0 == .greater }
        let word = before[(before.lastIndex(where: isWordEnd).map { $0 + 1 } ?? before.startIndex)...]
        if word.first == .slash || word.indices.contains(where: { word[$0...].starts(with: "//".utf8) }) { return true }
        guard isIdentifier else { return false }
        let behind = index < bytes.count && bytes[index] == .colon ? bytes[(index + 1)...] : []
        return start > 0 || behind.first == .slash || !behind.isEmpty && behind.allSatisfy(\.isDigit)
    }

    /// A key of ceph, known by its form: the type, the time and 16 bytes in Base64, of which the first letters are always these.
    private func cephKey() -> Range<Int>? {
        guard bytes[index...].starts(with: "AQ".utf8), index == 0 || !bytes[index - 1].isLetterOrDigit else { return nil }
        let letters = bytes[index...].prefix(64).prefix { $0.isLetterOrDigit || $0 == .plus || $0 == .slash }
        let key = bytes[index...].prefix(letters.count + 2).prefix { !$0.isBlank && !$0.isQuote }
        let padding = key.dropFirst(letters.count).prefix { $0 == .equals }
        return letters.count >= 24 && !padding.isEmpty ? index..<padding.endIndex : nil
    }

    /// Whether the word before says whose key it is: `CHAP key: …`.
    private func isNamedKey(_ start: Int) -> Bool {
        let before = bytes[..<start].suffix(20).reversed().drop(while: \.isBlank).prefix(while: \.isNamePart)
        let word = String(decoding: before.reversed(), as: UTF8.self).lowercased()
        return ["chap", "ceph", "cephx", "private", "access", "secret"].contains(word)
    }

    /// Whether a tag of XML is open at this offset.
    private func isInTag(_ start: Int) -> Bool {
        bytes[..<start].suffix(200).last { $0 == .less || $0 == .greater } == .less
    }

    /// Whether this belongs to `secret,id=…` or `{"qom-type": "secret", …}`.
    private func isOfSecretObject(_ start: Int) -> Bool {
        let before = bytes[..<start].suffix(200)
        let line = before[(before.lastIndex(where: \.isLineEnd) ?? before.startIndex)...]
        return line.indices.contains { line[$0] == UInt8(ascii: "s") && line[$0...].starts(with: "secret".utf8) }
    }

    private func end(from start: Int, _ isEnd: (UInt8) -> Bool) -> Int { bytes[start...].firstIndex(where: isEnd) ?? bytes.count }

    /// A name has no five hyphens, with which PEM begins.
    private func endOfName(_ start: Int) -> Int {
        var end = start + 1
        while end < bytes.count, bytes[end].isNamePart, !bytes[end...].starts(with: "-----".utf8) { end += 1 }
        return end
    }

    private func isQuote(at offset: Int) -> Bool {
        let quote = end(from: offset) { $0 != .backslash }
        return quote < bytes.count && bytes[quote].isQuote
    }

    /// QEMU's `rbd:POOL/IMAGE:id=…:key=…`.
    private func isLegacyOption(_ start: Int) -> Bool { start > 0 && bytes[start - 1] == .colon }

    /// The password of `://user:password@`, at the `:` of `://`.
    private mutating func urlPassword() -> Range<Int>? {
        guard bytes[index...].starts(with: "://".utf8) else { return nil }
        let isISCSI = bytes[..<index].suffix(5).elementsEqual("iscsi".utf8)
        let colon = end(from: index + 3) {
            $0 == .colon || $0 == .slash || $0 == .at || isISCSI && $0 == .percent || Self.endsWord($0)
        }
        // libiscsi's URLs are iscsi://user%password@host.
        guard colon < bytes.count, bytes[colon] == .colon || bytes[colon] == .percent else { return nil }
        let password = colon + 1
        let host = end(from: password) { $0 == .slash || Self.endsWord($0) }
        if bytes[index + 3] == .openBracket { return nil }
        if let at = bytes[password..<host].lastIndex(of: .at) { return password..<at }
        // A slash belongs to the path, unless what stands before it is no port.
        let port = bytes[password..<host].prefix(while: \.isDigit)
        let isPort = port.endIndex == host || bytes[port.endIndex] == .comma && !port.isEmpty
        guard !isPort, let at = lastAtInWord(), at > password else { return nil }
        return password..<at
    }

    private static func endsWord(_ byte: UInt8) -> Bool { byte.isBlank || byte.isQuote }

    /// The last `@` of the word that is being read, looked for once a word.
    private mutating func lastAtInWord() -> Int? {
        if word.end <= index {
            word.end = end(from: index, Self.endsWord)
            word.lastAt = bytes[index..<word.end].lastIndex(of: .at)
        }
        return word.lastAt
    }

    /// What stands between the lines of `-----BEGIN … PRIVATE KEY-----`.
    private func privateKey() -> Range<Int>? {
        guard bytes[index...].starts(with: "-----BEGIN ".utf8) else { return nil }
        let title = bytes[(index + 11)...].prefix(80)
        guard let end = title.firstIndex(of: .hyphen),
            ["PRIVATE KEY", "PRIVATE KEY BLOCK"].contains(where: {
                bytes[index..<end].suffix($0.utf8.count).elementsEqual($0.utf8)
            })
        else { return nil }
        let body = min(end + 5, bytes.count)
        var close = body
        while close < bytes.count, !bytes[close...].starts(with: "-----END".utf8) { close += 1 }
        return body..<close
    }
}
