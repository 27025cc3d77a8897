/// Masks the secrets in a string that is not JSON, judging by what precedes them:
///
///     name=value   name: value   "name": value   name -> value   | name | value |
///     --name value   name -v value   'name', 'value': value   secret,id=…,data=value   name 'value'   the name was 'value'
///     name%3Dvalue   name&quot;value   name\x3dvalue   name(value)   <name …>value   <… name="name">value
///     ://user:value@   PRIVATE KEY-----value   Bearer value   Keystone tokens, and Ceph and NVMe keys, by their prefix
///
/// A quoted value ends with its quote; any other with the string, since nothing shows where it ends. Linear time.
struct SecretText {
    /// The prefix of a Keystone token, a Ceph key and an NVMe key, and its minimum length.
    private static let forms = [("gAAAAA", 32), ("AQ", 32), ("DHHC-1:", 20)]

    private let bytes: [UInt8]
    private var end: Int { bytes.count }

    /// The string without its secrets; nil if it has none.
    ///
    /// - Parameter found: collects the secrets that a separator ties to a name.
    static func masked(_ text: String, _ found: inout [String]) -> String? {
        guard text.utf8.contains(where: { !$0.isOfIdentifier }) || text.hasPrefix("gAAAAA") else { return nil }
        let bytes = Array(text.utf8)
        var masked = bytes
        for pattern in [\SecretText.passwordsOfURLs, \.namedSecrets] {
            let secrets = SecretText(bytes: masked)[keyPath: pattern]
            found += secrets.filter { isTied($0, masked) }.map { firstWord(masked[$0]) }
            masked = masked.masking(secrets)
        }
        return masked == bytes ? nil : String(decoding: masked, as: UTF8.self)
    }

    /// Whether a secret's name appears anywhere in the string.
    static func namesSecret(_ text: String) -> Bool {
        text.utf8.split { !$0.isNamePart }.contains { SecretName.isSecret(String(Substring($0))) }
    }

    /// Whether a separator precedes the secret, or it is in a URL: what merely follows a name in a sentence may be anything.
    private static func isTied(_ secret: Range<Int>, _ bytes: [UInt8]) -> Bool {
        let before = bytes[..<secret.lowerBound].suffix(8).last { !$0.isQuote && !$0.isBlank && $0 != .backslash }
        return before == .equals || before == .colon || bytes[secret.upperBound...].first == .at
    }

    private static func firstWord(_ secret: ArraySlice<UInt8>) -> String {
        let word = secret.prefix { !$0.isBlank && $0 != .comma && $0 != UInt8(ascii: ";") }
        return String(decoding: word.last == .dot ? word.dropLast() : word, as: UTF8.self)
    }

    /// The password in `://user:password@host`, or in libiscsi's URLs, `iscsi://user%password@host`.
    private var passwordsOfURLs: [Range<Int>] {
        bytes.split { $0.isBlank || $0.isQuote }.compactMap { word in
            guard let at = word.lastIndex(of: .at) else { return nil }
            var rest = word[..<at]
            while let scheme = rest.firstRange(of: "://".utf8) {
                let isISCSI = rest[..<scheme.lowerBound].suffix(5).elementsEqual("iscsi".utf8)
                rest = rest[scheme.upperBound...]
                let user = rest.firstIndex { $0 == .colon || $0 == .slash || isISCSI && $0 == .percent } ?? at
                guard user < at, bytes[user] != .slash, rest.first != .openBracket else { continue }
                let port = rest[(user + 1)...].prefix(while: \.isDigit)
                let isPort = !port.isEmpty && (bytes[port.endIndex] == .slash || bytes[port.endIndex] == .comma)
                if !isPort, user + 1 < at { return user + 1..<at }
            }
            return nil
        }
    }

    private var namedSecrets: [Range<Int>] {
        var found: [Range<Int>] = []
        var index = 0
        while index < end {
            let start = index
            index = skip(start, \.isNamePart)
            if index == start {
                index += 1
            } else if let secret = secret(start..<index), !secret.isEmpty {
                found.append(secret)
                index = secret.upperBound
            }
        }
        return found
    }

    /// The secret that this word is or names.
    private func secret(_ word: Range<Int>) -> Range<Int>? {
        let start = bytes[word].firstIndex { $0 != .hyphen } ?? word.upperBound
        for (beginning, length) in Self.forms where starts(beginning, start) {
            let token = start..<skip(start) { $0.isNamePart || "+/=:".utf8.contains($0) }
            if token.count >= length { return token }
        }
        if starts("PRIVATE", start), starts(" KEY", word.upperBound) { return word.upperBound + 4..<end }
        // The first letter may belong to an escape: `\nAuthorization`.
        let isEscaped = start > 0 && bytes[start - 1] == .backslash && "ntr".utf8.contains(bytes[min(start, end - 1)])
        return secret(start, word) ?? (isEscaped ? secret(start + 1, word) : nil)
    }

    /// - Parameter start: the start of the name in its word, after hyphens.
    private func secret(_ start: Int, _ word: Range<Int>) -> Range<Int>? {
        let name = bytes.span.extracting(start..<word.upperBound)
        let closed = skip(word.upperBound) { $0.isQuote || $0 == .backslash || $0 == UInt8(ascii: "]") }
        let sign = skip(closed, \.isBlank)
        let hasSign = sign < end && "=:|".utf8.contains(bytes[sign]) || starts("->", sign)
        if SecretName.isScheme(name), let secret = wordBehindScheme(word.upperBound) { return secret }
        guard SecretName.isSecret(name) else {
            let isQuoted = start > 0 && bytes[start - 1].isQuote && closed > word.upperBound
            let isOption = SecretName.isSecretOption(name) || SecretName.isKey(name) && starts("=", sign)
            return hasSign && (isOption || isQuoted && SecretName.isSecretAsMember(name)) ? valueBehind(sign) : nil
        }
        if hasSign { return valueBehind(sign) }
        let isEscape = closed > word.upperBound && bytes[closed - 1] == .backslash
        let isMarked = closed < end && ("%&(<>".utf8.contains(bytes[closed]) || bytes[closed] < 0x20 && !bytes[closed].isBlank)
        if isEscape || isMarked || start > 0 && bytes[start - 1] == .less { return closed..<end }
        return argument(word.upperBound, isOption: start > word.lowerBound) ?? quotedNearby(word.upperBound)
    }

    /// The word after `Bearer` or `basic`, but not in a sentence such as `basic checks`.
    private func wordBehindScheme(_ scheme: Int) -> Range<Int>? {
        let start = skip(scheme, \.isBlank)
        let word = start..<skip(start) { !$0.isBlank && !$0.isQuote }
        return start > scheme && bytes[word].contains { $0.isDigit || $0 == .equals } ? word : nil
    }

    private func valueBehind(_ sign: Int) -> Range<Int>? {
        let start = skip(sign + 1) { "=:>".utf8.contains($0) || $0.isBlank }
        guard start < end else { return nil }
        let word = bytes[start...].prefix(6).prefix(while: \.isLetterOrDigit)
        let isNothing = ["null", "None", "nil", "true", "false", "True", "False", "YES", "NO"].contains {
            word.elementsEqual($0.utf8)
        }
        return isNothing ? nil : quoted(start) ?? start..<end
    }

    /// The argument of an option, on a command line or in a list of words.
    private func argument(_ name: Int, isOption: Bool) -> Range<Int>? {
        let start = skip(name) { $0.isBlank || $0.isQuote || $0 == .comma || $0 == .backslash }
        guard start > name, start < end else { return nil }
        for mark in ["-v", "--value", "value", "id", "data"] where starts(mark, start) {
            let value = start + mark.utf8.count
            if value < end, !bytes[value].isLetterOrDigit { return value..<end }
        }
        guard isOption, bytes[start] != .hyphen else { return nil }
        let quotes = bytes[name..<start].reversed().prefix { $0.isQuote || $0 == .backslash }.count
        return quoted(start - quotes) ?? start..<end
    }

    /// A quoted string with at most two words before it. A UUID names a secret or a volume, so it is not one.
    private func quotedNearby(_ name: Int) -> Range<Int>? {
        var index = name
        for _ in 0...2 {
            let word = skip(index, \.isBlank)
            guard word > index else { return nil }
            if let range = quoted(word) { return range.count <= 100 && bytes[range].holdsUUID ? nil : range }
            index = skip(word) { $0.isSmall || $0.isCapital }
        }
        return nil
    }

    /// The contents of the quotes that open here, possibly escaped, or after Python's `u` or `b`.
    private func quoted(_ start: Int) -> Range<Int>? {
        let letters = skip(start) { "ubrf".utf8.contains($0 | 0x20) }
        let first = letters - start <= 2 ? letters : start
        let open = skip(first) { $0 == .backslash }
        guard open < end, bytes[open].isQuote else { return nil }
        var escapes = 0
        for index in open + 1..<end {
            // A quote that is escaped more often than the opening one belongs to the string.
            if bytes[index] == bytes[open], escapes <= open - first {
                // What continues after the quote still belongs to the value, as in a shell.
                let goesOn = index + 1 < end && (bytes[index + 1].isNamePart || "'\"+$\\".utf8.contains(bytes[index + 1]))
                return open + 1..<(goesOn ? end : index - escapes)
            }
            escapes = bytes[index] == .backslash ? escapes + 1 : 0
        }
        return open + 1..<end
    }

    private func skip(_ start: Int, _ isSkipped: (UInt8) -> Bool) -> Int {
        bytes[min(start, end)...].firstIndex { !isSkipped($0) } ?? end
    }

    private func starts(_ mark: String, _ index: Int) -> Bool { bytes[min(index, end)...].starts(with: mark.utf8) }
}
