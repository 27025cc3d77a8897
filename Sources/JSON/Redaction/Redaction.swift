extension JSONValue {
    /// The replacement for a secret.
    package static let redactionMark = "***"

    /// The value with every password, key and token replaced by `"***"`; see ``Redaction``.
    package func redacted() -> JSONValue { redactedIfSecret() ?? self }

    /// Like ``redacted()``, but nil if there is nothing to mask.
    package func redactedIfSecret() -> JSONValue? {
        var redaction = Redaction()
        return redaction.redacted(self)
    }
}

/// Replaces secrets with `"***"`: members by name (``SecretName``) at any depth, including in strings that are JSON themselves,
/// such as `oslo.message`; and what ``SecretText`` finds in other strings.
///
/// A redacted message can still be replayed: embedded JSON stays JSON, nulls stay null.
package struct Redaction {
    /// Secrets found by name, to be masked where they appear without one.
    package private(set) var found: [String] = []
    private let known: (String) -> String?

    /// - Parameter known: masks the already known secrets in a string; returns nil if there are none.
    package init(known: @escaping (String) -> String? = { _ in nil }) { self.known = known }

    /// The value without its secrets; nil if it has none.
    package mutating func redacted(_ value: JSONValue) -> JSONValue? { masked(value, depth: JSONValue.maximumDepth) }

    /// - Parameter depth: levels left, counting embedded JSON too, so that the stack stays bounded.
    private mutating func masked(_ value: JSONValue, depth: Int) -> JSONValue? {
        switch value {
        case .object(let members): masked(members, depth: depth).map { .object($0) }
        case .array(let elements): masked(elements, depth: depth).map { .array($0) }
        case .string(let text): masked(text, depth: depth - 1).map { .string($0) }
        default: nil
        }
    }

    private mutating func masked(_ members: JSONObject, depth: Int) -> JSONObject? {
        // {"name": "auth_password", "value": …}, or in JSON Patch {"path": "/data/auth_password", "value": …}
        let isPair = (2...6).contains(members.count) && members.values.contains(where: Self.isSecretName)
        var result: JSONObject?
        for member in members {
            let isValue = isPair && Self.valueKeys.contains(member.key.lowercased())
            let learns = isValue || SecretName.isSecret(member.key)
            let isSecret = learns || SecretName.isSecretAsMember(member.key.utf8.span)
            let value = isSecret ? mask(member.value, learns: learns) : masked(member.value, depth: depth - 1)
            if let value { result = result ?? members; result?[member.key] = value }
        }
        let keys = members.keys.map { masked(prose: $0) }
        guard keys.contains(where: { $0 != nil }) else { return result }
        let clean = zip(keys, result ?? members).map { ($0 ?? $1.key, $1.value) }
        return JSONObject(clean)
    }

    private mutating func masked(_ elements: [JSONValue], depth: Int) -> [JSONValue]? {
        let secrets = Self.secrets(in: elements)
        var result: [JSONValue]?
        for (index, element) in elements.enumerated() {
            let isSecret = secrets.contains(index) && element.isScalar
            let value = isSecret ? mask(element, learns: index == secrets.lowerBound) : masked(element, depth: depth - 1)
            if let value { result = result ?? elements; result?[index] = value }
        }
        return result
    }

    /// The second of a pair, or everything in a command after `--password` or `-n node.session.auth.password -v`.
    private static func secrets(in elements: [JSONValue]) -> Range<Int> {
        for name in elements.indices.dropLast() where isSecretName(elements[name]) {
            let next = elements[name + 1].stringValue ?? ""
            if next == "-v" || next == "--value" { return name + 2..<elements.count }
            let isOption = elements[name].stringValue?.hasPrefix("-") == true || next.hasPrefix("--value=")
            if isOption || elements.count == 2 && !isSecretName(elements[1]) { return name + 1..<elements.count }
        }
        return 0..<0
    }

    /// The mark, in place of a secret; nil if it is already there, or for null, true and false, which are not secrets.
    private mutating func mask(_ secret: JSONValue, learns: Bool = true) -> JSONValue? {
        if secret.isNull || secret.boolValue != nil || secret.stringValue == JSONValue.redactionMark { return nil }
        if learns, let text = secret.stringValue { found.append(text) }
        return .string(JSONValue.redactionMark)
    }

    private mutating func masked(_ text: String, depth: Int) -> String? {
        guard let first = text.utf8.first(where: { $0 > 0x20 }), [.openBrace, .openBracket, .quote].contains(first) else {
            return masked(prose: text)
        }
        do {
            let value = try JSONValue(parsing: text.utf8, maximumDepth: max(depth, 0), rejectsDuplicates: true)
            return masked(value, depth: depth)?.serialized()
        } catch {
            // A name may be escaped, or a value hidden by a duplicate member.
            let hides = error.code != .invalidSyntax || text.contains("\\u")
            let isSecret = masked(prose: text) != nil || hides || SecretText.namesSecret(text)
            return isSecret && text != JSONValue.redactionMark ? JSONValue.redactionMark : nil
        }
    }

    private mutating func masked(prose text: String) -> String? {
        let named = SecretText.masked(text, &found)
        return known(named ?? text) ?? named
    }

    private static let valueKeys: Set = ["value", "val", "v", "values", "new_value", "old_value", "current_value", "default"]

    private static func isSecretName(_ value: JSONValue) -> Bool {
        guard case .string(let text) = value, text.utf8.count <= 128 else { return false }
        // The name in `--name=node.session.auth.password`, or the last part of a path.
        let name = text.hasPrefix("/") ? lastPart(text) : text.dropFirst(text.hasPrefix("--name=") ? 7 : 0)
        return name.utf8.allSatisfy { $0.isNamePart || $0 == .dot } && SecretName.isSecret(name.utf8.span)
    }

    /// The last part of a path that is not empty.
    private static func lastPart(_ path: String) -> Substring {
        let parts = path.utf8
        guard let last = parts.lastIndex(where: { $0 != .slash }) else { return "" }
        let start = parts[...last].lastIndex(of: .slash).map(parts.index(after:)) ?? parts.startIndex
        return Substring(parts[start...last])
    }
}
