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
        let key = key.lowercased()
        if key == "secret_uuid" || key.hasSuffix("_secret_uuid") || key == "secret_type" { return false }
        if ["password", "passwd", "passphrase", "secret", "token", "keyring", "credential"].contains(where: key.contains) {
            return true
        }
        return [
            "adminpass", "admin_pass", "auth_key", "authkey", "private_key", "ceph_key", "cephx_key", "access_key",
            "encryption_key", "client_key",
        ]
        .contains { key == $0 || key.hasSuffix("_" + $0) }
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
            return error.code == .nestedTooDeeply ? redactionMark : text
        }
    }
}
