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
        let volume = JSONValue.object(volume?.json ?? [:])
        // Also what stands in options, such as `password=…`.
        var redaction = Redaction()
        _ = redaction.redacted(volume)
        let secrets = Set(secrets(in: volume).union(redaction.found).filter { !$0.isEmpty }.flatMap(spellings(of:)))
        for secret in secrets.sorted(by: { $0.count > $1.count }) {
            text = text.replacing(secret, with: JSONValue.redactionMark)
        }
        return brief(text)
    }

    /// One line without what looks like a secret; only the end if it is long.
    static func brief(_ text: String) -> String {
        // Line by line: what follows a secret's name is masked to the end.
        let lines = text.split(whereSeparator: \.isNewline).map { line in
            let line = line.trimmingCharacters(in: .whitespaces)
            return JSONValue.string(line).redacted().stringValue ?? line
        }
        let line = lines.filter { !$0.isEmpty }.joined(separator: " | ")
        let safe = line.escapingControls
        return safe.count > limit ? "…" + safe.suffix(limit) : safe
    }

    /// Every string below a secret's key.
    private static func secrets(in value: JSONValue, isSecret: Bool = false) -> Set<String> {
        switch value {
        case .object(let members):
            members.reduce(into: []) {
                $0.formUnion(secrets(in: $1.value, isSecret: isSecret || SecretName.isSecret($1.key)))
            }
        case .array(let elements):
            elements.reduce(into: []) { $0.formUnion(secrets(in: $1, isSecret: isSecret)) }
        case .string(let text): isSecret ? [text] : []
        case .integer, .real: isSecret ? [value.serialized()] : []
        default: []
        }
    }

    /// A string as it is, JSON-escaped, and percent-encoded.
    private static func spellings(of text: String) -> [String] {
        [
            text, String(JSONValue.string(text).serialized().dropFirst().dropLast()),
            text.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? text,
        ]
    }
}
