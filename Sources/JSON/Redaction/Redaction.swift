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
    package mutating func redacted(_ text: [UInt8]) -> [UInt8] {
        var scanner = SecretScanner(text)
        let secrets = scanner.secrets()
        for range in secrets where Self.isNamedForSure(range, text) {
            // All to the end of a line may have been taken for the secret.
            let word = text[range].prefix { !$0.isBlank && $0 != .comma && $0 != .semicolon }
            known?.learn(word.last == .dot ? word.dropLast() : word)
        }
        let masked = SecretMask.masked(text, secrets)
        return known?.masked(masked) ?? masked
    }

    /// Whether a sign stands before this, or it is a URL's: what stands beside a name in a sentence may be anything.
    private static func isNamedForSure(_ secret: Range<Int>, _ text: [UInt8]) -> Bool {
        let before = text[..<secret.lowerBound].last { !$0.isQuote && !$0.isBlank && $0 != .backslash }
        return before == .equals || before == .colon || text[secret.upperBound...].first == .at
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
                && (nameKey != nil && Self.isValueKey(member.key) || SecretName.isSecretMember(member.key.utf8.span))
            let learns = isSecret && (nameKey != nil || SecretName.isSecret(member.key))
            guard let value = isSecret ? mask(member.value, learns: learns) : masked(member.value, depth: depth - 1) else {
                continue
            }
            result = result ?? members
            result?.values[index] = value
        }
        return withMaskedKeys(result ?? members) ?? result
    }

    private mutating func masked(_ elements: [JSONValue], depth: Int) -> [JSONValue]? {
        var result: [JSONValue]?
        for (index, element) in elements.enumerated() {
            let value = Self.isSecret(index, of: elements) ? maskArgument(element) : masked(element, depth: depth - 1)
            guard let value else { continue }
            result = result ?? elements
            result?[index] = value
        }
        return result
    }

    /// Whether the element before this one names it: of a pair, behind an option, behind `-v` and a name.
    private static func isSecret(_ index: Int, of elements: [JSONValue]) -> Bool {
        guard index > 0, elements[index].isScalar, !isSecretName(elements[index]) else { return false }
        if isValueOption(elements[index - 1]) { return index > 1 && isSecretName(elements[index - 2]) }
        guard isSecretName(elements[index - 1]), let name = elements[index - 1].stringValue else { return false }
        return elements.count == 2 && !isValueOption(elements[index]) || name.hasPrefix("-") && !isValueOption(elements[index])
            || elements[index].stringValue?.hasPrefix("--value=") == true
    }

    private mutating func maskArgument(_ element: JSONValue) -> JSONValue? {
        guard let text = element.stringValue, text.hasPrefix("--value=") else { return mask(element) }
        return mask(.string(String(text.dropFirst(8)))).map { _ in .string("--value=" + JSONValue.redactionMark) }
    }

    /// The mark in the place of a secret; nil when it is there already, and of null, true and false, which are none.
    private mutating func mask(_ secret: JSONValue, learns: Bool = true) -> JSONValue? {
        switch secret {
        case .null, .bool: return nil
        case .string(let text):
            if text == JSONValue.redactionMark { return nil }
            if learns { known?.learn(text) }
        default: break
        }
        return .string(JSONValue.redactionMark)
    }

    private mutating func masked(_ text: String, depth: Int) -> String? {
        guard let first = text.utf8.first(where: { $0 > 0x20 }), first == .openBrace || first == .openBracket || first == .quote
        else { return masked(prose: text) }
        guard depth > 0 else { return text == JSONValue.redactionMark ? nil : JSONValue.redactionMark }
        do {
            let value = try JSONValue(parsing: text.utf8, maximumDepth: depth, rejectsDuplicates: true)
            return masked(value, depth: depth)?.serialized()
        } catch {
            switch error.code {
            case .nestedTooDeeply: return JSONValue.redactionMark
            case .duplicateKey:
                // The text has values that the parsed one has not: it is written anew.
                guard let value = try? JSONValue(parsing: text.utf8, maximumDepth: depth) else { return JSONValue.redactionMark }
                return (masked(value, depth: depth) ?? value).serialized()
            default: return masked(prose: text)
            }
        }
    }

    /// A name and its value have something between them that no identifier has.
    private mutating func masked(prose text: String) -> String? {
        guard known != nil || !text.utf8.allSatisfy(\.isOfIdentifier) || SecretName.isToken(text.utf8.span) else { return nil }
        let bytes = Array(text.utf8)
        let masked = redacted(bytes)
        return masked == bytes ? nil : String(decoding: masked, as: UTF8.self)
    }

    private mutating func withMaskedKeys(_ members: JSONObject) -> JSONObject? {
        guard members.keys.contains(where: { masked(prose: $0) != nil }) else { return nil }
        return JSONObject(members.map { (masked(prose: $0.key) ?? $0.key, $0.value) }, uniquingKeysWith: { $1 })
    }

    /// `name` in `{"name": "auth_password", "value": …}`, `path` in `{"op": "replace", "path": "/data/auth_password", "value": …}`.
    private static func nameKey(_ members: JSONObject) -> String? {
        guard (2...6).contains(members.count), members.keys.contains(where: isValueKey) else { return nil }
        return members.keys.first { nameKeys.contains($0.lowercased()) && (members[$0].map(isSecretName) ?? false) }
    }

    private static func isValueKey(_ key: String) -> Bool { valueKeys.contains(key.lowercased()) }

    private static let nameKeys: Set = [
        "name", "key", "k", "option", "field", "property", "param", "parameter", "header", "setting", "attr", "id", "path",
    ]
    private static let valueKeys: Set = ["value", "val", "v", "values", "new_value", "old_value", "current_value", "default"]

    private static func isSecretName(_ value: JSONValue) -> Bool {
        guard case .string(let text) = value, text.utf8.count <= 128 else { return false }
        // Of `--name=node.session.auth.password` the name, of a path its last part.
        let name =
            text.hasPrefix("--name=")
            ? text.dropFirst(7) : text.hasPrefix("/") ? text.split(separator: "/").last ?? "" : text[...]
        return name.utf8.allSatisfy { $0.isNamePart || $0 == .dot } && SecretName.isSecret(String(name))
    }

    /// As in `iscsiadm -n node.session.auth.password -v VALUE`.
    private static func isValueOption(_ value: JSONValue) -> Bool { value == "-v" || value == "--value" }
}
