import Basics
import Foundation
import JSON
import VolumeSwap

/// Prepares a connector helper's output for the log and for failures.
enum ConnectorText {
    private static let limit = 1000

    /// One line without the volume's secrets; only the end if it is long.
    static func brief(_ text: String, hiding volume: ConnectionInfo?) -> String {
        var text = text
        for secret in secrets(in: .object(volume?.json ?? [:])).sorted(by: { $0.count > $1.count }) {
            text = text.replacing(secret, with: JSONValue.redactionMark)
        }
        return brief(text)
    }

    /// One line; only the end if it is long.
    static func brief(_ text: String) -> String {
        let lines = text.split(whereSeparator: \.isNewline).map { $0.trimmingCharacters(in: .whitespaces) }
        let line = lines.filter { !$0.isEmpty }.joined(separator: " | ")
        let safe = line.escapingControls
        return safe.count > limit ? "…" + safe.suffix(limit) : safe
    }

    /// Every string below a secret's key, also JSON-escaped and percent-encoded.
    private static func secrets(in value: JSONValue, isSecret: Bool = false) -> Set<String> {
        switch value {
        case .object(let members):
            members.reduce(into: []) {
                $0.formUnion(secrets(in: $1.value, isSecret: isSecret || SecretName.isSecret($1.key)))
            }
        case .array(let elements):
            elements.reduce(into: []) { $0.formUnion(secrets(in: $1, isSecret: isSecret)) }
        case .string(let text) where isSecret && !text.isEmpty:
            [
                text, String(value.serialized().dropFirst().dropLast()),
                text.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? text,
            ]
        case .integer, .real: isSecret ? [value.serialized()] : []
        default: []
        }
    }
}
