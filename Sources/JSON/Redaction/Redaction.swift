import OrderedCollections

/// Replaces every password, key and token by `"***"`: members by their names (``SecretName``), also in strings that are JSON text
/// themselves, as `oslo.message` is, at any depth; other strings as ``SecretScanner`` reads them.
///
/// A redacted message can still be replayed: embedded texts are encoded again, nulls stay null.
package struct Redaction: Sendable {
    /// The secrets that were found by their names; nil when they are not kept.
    private var known: KnownSecrets?

    /// - Parameter remembers: keeps the secrets that are found by their names, to find them again in texts that do not name them,
    ///   of this value and all later ones.
    package init(remembers: Bool = false) { known = remembers ? KnownSecrets() : nil }

    /// The value without its secrets; nil when it has none.
    package mutating func redacted(_ value: JSONValue) -> JSONValue? {
        let before = known?.generation
        let once = masked(value, depth: JSONValue.maximumDepth)
        guard known?.generation != before else { return once }
        // What is known now may stand before the place where it was named.
        return masked(once ?? value, depth: JSONValue.maximumDepth) ?? once
    }

    /// Any text without its secrets.
    package func redacted(_ text: [UInt8]) -> [UInt8] {
        let masked = SecretMask.masked(text)
        return known?.masked(masked) ?? masked
    }

    /// The value with its secrets masked; nil when it has none.
    ///
    /// - Parameter depth: levels left, over all embedded texts together, so that the stack stays bounded.
    private mutating func masked(_ value: JSONValue, depth: Int) -> JSONValue? {
        switch value {
        case .object(let members): masked(members, depth: depth).map { .object($0) }
        case .array(let elements): masked(elements, depth: depth).map { .array($0) }
        case .string(let text): masked(text, depth: depth - 1).map { .string($0) }
        default: nil
        }
    }

    private mutating func masked(_ members: JSONObject, depth: Int) -> JSONObject? {
        var result: JSONObject?
        let nameKey = Self.nameKey(members)
        for (index, member) in members.elements.enumerated() {
            let isSecret =
                member.key != nameKey
                && (nameKey != nil && member.key == "value" || SecretName.isSecretMember(member.key.utf8.span))
            guard let value = isSecret ? mask(member.value) : masked(member.value, depth: depth - 1) else { continue }
            result = result ?? members
            result?.values[index] = value
        }
        return withMaskedKeys(result ?? members) ?? result
    }

    private mutating func masked(_ elements: [JSONValue], depth: Int) -> [JSONValue]? {
        var result: [JSONValue]?
        var isAfterName = false
        for (index, element) in elements.enumerated() {
            let isSecret = isAfterName && element.isScalar && !Self.isValueOption(element)
            let value = isSecret ? mask(element) : masked(element, depth: depth - 1)
            isAfterName = !isSecret && (Self.isSecretName(element) || isAfterName && Self.isValueOption(element))
            guard let value else { continue }
            result = result ?? elements
            result?[index] = value
        }
        return result
    }

    /// The mark in the place of a secret; nil when it is there already, or null.
    private mutating func mask(_ secret: JSONValue) -> JSONValue? {
        guard !secret.isNull, secret != .string(JSONValue.redactionMark) else { return nil }
        known?.learn(secret)
        return .string(JSONValue.redactionMark)
    }

    private mutating func masked(_ text: String, depth: Int) -> String? {
        guard let first = text.utf8.first(where: { $0 > 0x20 }), first == .openBrace || first == .openBracket || first == .quote
        else { return masked(prose: text) }
        guard depth > 0 else { return text == JSONValue.redactionMark ? nil : JSONValue.redactionMark }
        do {
            return try masked(JSONValue(parsing: text.utf8, maximumDepth: depth), depth: depth)?.serialized()
        } catch {
            return error.code == .nestedTooDeeply ? JSONValue.redactionMark : masked(prose: text)
        }
    }

    /// A name and its value have something between them that no identifier has.
    private func masked(prose text: String) -> String? {
        guard !text.utf8.allSatisfy(\.isOfIdentifier) || SecretName.isToken(text.utf8.span) else { return nil }
        let bytes = Array(text.utf8)
        let masked = redacted(bytes)
        return masked == bytes ? nil : String(decoding: masked, as: UTF8.self)
    }

    private func withMaskedKeys(_ members: JSONObject) -> JSONObject? {
        guard members.keys.contains(where: { masked(prose: $0) != nil }) else { return nil }
        return JSONObject(members.map { (masked(prose: $0.key) ?? $0.key, $0.value) }, uniquingKeysWith: { $1 })
    }

    /// `name` in `{"name": "auth_password", "value": …}`.
    private static func nameKey(_ members: JSONObject) -> String? {
        guard (2...4).contains(members.count), members["value"] != nil else { return nil }
        return ["name", "key", "option", "field"].first { members[$0].map(isSecretName) ?? false }
    }

    private static func isSecretName(_ value: JSONValue) -> Bool {
        guard case .string(let name) = value, name.utf8.count <= 128 else { return false }
        return name.utf8.allSatisfy { $0.isNamePart || $0 == .dot } && SecretName.isSecret(name)
    }

    /// As in `iscsiadm -n node.session.auth.password -v VALUE`.
    private static func isValueOption(_ value: JSONValue) -> Bool { value == "-v" || value == "--value" }
}
