import JSON
import OsloMessaging

/// Replaces every password, key and token by `***` in the properties and bodies of captured messages, which can still be replayed.
/// A body that is not JSON is masked whole.
///
/// Remembers the secrets that it has seen under their names, and finds them again in the same message and in later ones: a failure
/// may quote the password that its request brought.
package struct CaptureRedactor: Sendable {
    /// Bytes of a body that is not JSON.
    private static let readLength = 1 << 20

    private var known = KnownSecrets()

    package init() {}

    /// The line without its secrets.
    package mutating func redacted(_ line: CaptureLine) -> CaptureLine {
        var line = line
        // As one value: what the one names may stand in the other.
        var message: JSONObject = ["properties": line.properties.json]
        switch line.body {
        case .json(let value): message["body"] = value
        case .bytes(let bytes):
            // Masked whole, and its beginning is read for the secrets that it names.
            message["body"] = .string(String(decoding: bytes.prefix(Self.readLength), as: UTF8.self))
            if !bytes.isEmpty { line.body = .bytes(Array(JSONValue.redactionMark.utf8)) }
        }
        guard let clean = redacted(.object(message)) else { return line }
        line.properties = MessageProperties(json: clean["properties"])
        if case .json = line.body { line.body = .json(clean["body"] ?? .null) }
        return line
    }

    /// nil when nothing is to be masked.
    private mutating func redacted(_ value: JSONValue) -> JSONValue? {
        let (once, found) = masked(value)
        // What is known now may stand before the place where it was named.
        let learned = found.filter { known.learn($0) }
        return learned.isEmpty ? once : masked(once ?? value).clean ?? once
    }

    private func masked(_ value: JSONValue) -> (clean: JSONValue?, found: [String]) {
        var redaction = Redaction { known.masked($0) }
        let clean = redaction.redacted(value)
        return (clean, redaction.found)
    }
}
