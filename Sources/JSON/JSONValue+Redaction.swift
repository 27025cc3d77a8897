import OrderedCollections

extension JSONValue {
    /// What stands in the place of a secret.
    package static let redactionMark = "***"

    /// The value with every password, key and token replaced by `"***"`.
    ///
    /// Strings that are JSON text themselves, as `oslo.message` is, are looked into at any depth and encoded again, so that a
    /// redacted message can still be replayed; other strings as ``SecretMask`` reads them. Nulls stay null.
    package func redacted() -> JSONValue { masked(depth: Self.maximumDepth) ?? self }

    /// As ``redacted()``, nil when nothing is to be masked.
    package func redactedIfSecret() -> JSONValue? { masked(depth: Self.maximumDepth) }

    /// Whether a member of this name holds a secret.
    ///
    /// The names of secrets (`secret_uuid`, `secret_type`) are none: a replay needs them.
    package static func isSecret(key: String) -> Bool {
        var key = key
        // Bytes, not characters, and no copy of them: every key of every message passes through here.
        return key.withUTF8 { key in
            if harmlessNames.contains(where: { unsafe isName(key, $0) }) { return false }
            return secretWords.contains { unsafe contains(key, $0) } || secretNames.contains { unsafe isName(key, $0) }
        }
    }

    private static let harmlessNames = ["secret_uuid", "secret_type"].map { Array($0.utf8) }
    private static let secretWords = ["password", "passwd", "passphrase", "secret", "token", "keyring", "credential"]
        .map { Array($0.utf8) }
    private static let secretNames = [
        "adminpass", "admin_pass", "auth_key", "authkey", "private_key", "access_key", "encryption_key", "client_key", "api_key",
        "apikey", "user_key", "userkey", "session_key", "ceph_key", "cephkey", "cephx_key", "rbd_key", "chap_key", "dhchap_key",
        "dhchap_ctrl_key", "luks_key",
    ].map { Array($0.utf8) }
    /// Names that are a secret's in an object, but words like others in a text: `{"entity": "client.cinder", "key": …}`.
    private static let secretMembers = ["key", "pass", "pwd", "authorization", "cookie"].map { Array($0.utf8) }

    private static func isSecret(member: String) -> Bool {
        if isSecret(key: member) { return true }
        var member = member
        return member.withUTF8 { member in
            secretMembers.contains { unsafe member.count == $0.count && matches(member, at: 0, $0) }
        }
    }

    /// Whether the key is this name, or ends with it after a separator.
    private static func isName(_ key: UnsafeBufferPointer<UInt8>, _ name: [UInt8]) -> Bool {
        let start = key.count - name.count
        guard start >= 0, unsafe matches(key, at: start, name) else { return false }
        return unsafe start == 0 || folded(key[start - 1]) == UInt8(ascii: "_")
    }

    private static func contains(_ key: UnsafeBufferPointer<UInt8>, _ word: [UInt8]) -> Bool {
        guard key.count >= word.count else { return false }
        return (0...key.count - word.count).contains { unsafe matches(key, at: $0, word) }
    }

    /// Capitals as small letters, `-` and `.` as `_`.
    private static func folded(_ byte: UInt8) -> UInt8 {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): byte | 0x20
        case UInt8(ascii: "-"), UInt8(ascii: "."): UInt8(ascii: "_")
        default: byte
        }
    }

    /// Whether these letters stand there, as capitals or not.
    private static func matches(_ key: UnsafeBufferPointer<UInt8>, at start: Int, _ letters: [UInt8]) -> Bool {
        for (offset, letter) in letters.enumerated() {
            guard unsafe folded(key[start + offset]) == letter else { return false }
        }
        return true
    }

    /// The value with its secrets masked; nil when it has none.
    ///
    /// - Parameter depth: levels left, over all embedded texts together, so that the stack stays bounded.
    private func masked(depth: Int) -> JSONValue? {
        switch self {
        case .object(let members):
            var result: JSONObject?
            for (index, member) in members.elements.enumerated() {
                guard let value = Self.masked(member.value, of: member.key, depth: depth - 1) else { continue }
                result = result ?? members
                result?.values[index] = value
            }
            return result.map { .object($0) }
        case .array(let elements):
            var result: [JSONValue]?
            for (index, element) in elements.enumerated() {
                guard let value = element.masked(depth: depth - 1) else { continue }
                result = result ?? elements
                result?[index] = value
            }
            return result.map { .array($0) }
        case .string(let text): return Self.masked(text: text, depth: depth - 1).map { .string($0) }
        default: return nil
        }
    }

    private static func masked(_ value: JSONValue, of key: String, depth: Int) -> JSONValue? {
        guard !value.isNull, isSecret(member: key) else { return value.masked(depth: depth) }
        return value == .string(redactionMark) ? nil : .string(redactionMark)
    }

    private static func masked(text: String, depth: Int) -> String? {
        guard let first = text.utf8.first(where: { $0 > 0x20 }),
            first == UInt8(ascii: "{") || first == UInt8(ascii: "[") || first == UInt8(ascii: "\"")
        else { return masked(prose: text) }
        guard depth > 0 else { return text == redactionMark ? nil : redactionMark }
        do {
            return try JSONValue(parsing: text.utf8, maximumDepth: depth).masked(depth: depth)?.serialized()
        } catch {
            return error.code == .nestedTooDeeply ? redactionMark : masked(prose: text)
        }
    }

    /// A name and its value, and a URL, have a sign between their parts.
    private static func masked(prose text: String) -> String? {
        guard text.utf8.contains(where: { $0 == UInt8(ascii: ":") || $0 == UInt8(ascii: "=") }) else { return nil }
        let masked = SecretMask.masked(text)
        return masked.utf8.elementsEqual(text.utf8) ? nil : masked
    }
}
