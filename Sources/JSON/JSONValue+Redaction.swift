import OrderedCollections

extension JSONValue {
    /// What stands in the place of a secret.
    package static let redactionMark = "***"

    /// The value with every password, key and token replaced by `"***"`.
    ///
    /// Strings that are JSON text themselves, as `oslo.message` is, are looked into at any depth and encoded again, so that a
    /// redacted message can still be replayed. Nulls stay null.
    package func redacted() -> JSONValue {
        redacted(depth: Self.maximumDepth)
    }

    /// Whether a member of this name holds a secret.
    ///
    /// The names of secrets (`secret_uuid`, `secret_type`) are none: a replay needs them.
    package static func isSecret(key: String) -> Bool {
        // Bytes, not characters: every key of every captured message passes through here.
        let key = key.utf8.map { UInt8(ascii: "A")...UInt8(ascii: "Z") ~= $0 ? $0 | 0x20 : $0 }
        if harmlessNames.contains(where: { isName(key, $0) }) { return false }
        return secretWords.contains { contains(key, $0) } || secretNames.contains { isName(key, $0) }
    }

    private static let harmlessNames = ["secret_uuid", "secret_type"].map { Array($0.utf8) }
    private static let secretWords = ["password", "passwd", "passphrase", "secret", "token", "keyring", "credential"]
        .map { Array($0.utf8) }
    private static let secretNames = [
        "adminpass", "admin_pass", "auth_key", "authkey", "private_key", "ceph_key", "cephx_key", "access_key", "encryption_key",
        "client_key",
    ].map { Array($0.utf8) }

    /// Whether the key is this name, or ends with it after an underscore.
    private static func isName(_ key: [UInt8], _ name: [UInt8]) -> Bool {
        guard key.count >= name.count, key.suffix(name.count).elementsEqual(name) else { return false }
        return key.count == name.count || key[key.count - name.count - 1] == UInt8(ascii: "_")
    }

    private static func contains(_ key: [UInt8], _ word: [UInt8]) -> Bool {
        guard key.count >= word.count else { return false }
        return (0...key.count - word.count).contains { start in
            key[start] == word[0] && key[start..<start + word.count].elementsEqual(word)
        }
    }

    /// - Parameter depth: levels left, over all embedded texts together, so that the stack stays bounded.
    private func redacted(depth: Int) -> JSONValue {
        switch self {
        case .object(let members):
            var result = JSONObject(minimumCapacity: members.count)
            for (key, value) in members {
                result[key] =
                    !value.isNull && Self.isSecret(key: key) ? .string(Self.redactionMark) : value.redacted(depth: depth - 1)
            }
            return .object(result)
        case .array(let elements): return .array(elements.map { $0.redacted(depth: depth - 1) })
        case .string(let text): return .string(Self.redacted(text: text, depth: depth - 1))
        default: return self
        }
    }

    private static func redacted(text: String, depth: Int) -> String {
        guard let first = text.utf8.first(where: { $0 > 0x20 }),
            first == UInt8(ascii: "{") || first == UInt8(ascii: "[") || first == UInt8(ascii: "\"")
        else { return text }
        guard depth > 0 else { return redactionMark }
        do {
            let value = try JSONValue(parsing: text.utf8, maximumDepth: depth)
            let clean = value.redacted(depth: depth)
            return clean == value ? text : clean.serialized()
        } catch {
            return error.code == .nestedTooDeeply ? redactionMark : SecretMask.masked(text)
        }
    }
}
