import AMQP
import JSON
import OsloMessaging

/// Replaces every password, key and token by `***` in the properties and bodies of captured messages, which can still be
/// replayed. A body that is not JSON is masked whole.
///
/// Remembers the secrets it has seen under their names, and finds them again in the same message and later ones: a failure may
/// quote the password of its request.
package struct CaptureRedactor: Sendable {
    /// Bytes searched of a body that is not JSON.
    private static let readLength = 1 << 20

    private var known = KnownSecrets()

    package init() {}

    /// The line without its secrets.
    package mutating func redacted(_ line: CaptureLine) -> CaptureLine {
        var line = line
        // As one value: a secret named in one may occur in the other.
        var message: JSONObject = ["properties": line.properties.json]
        switch line.body {
        case .json(let value): message["body"] = value
        case .bytes(let bytes):
            // Masked whole, but its beginning is searched for secrets that it names.
            message["body"] = .string(String(decoding: bytes.prefix(Self.readLength), as: UTF8.self))
            if !bytes.isEmpty { line.body = .bytes(Array(JSONValue.redactionMark.utf8)) }
        }
        guard let clean = redacted(.object(message)) else { return line }
        line.properties = AMQPProperties(json: clean["properties"])
        if case .json = line.body { line.body = .json(clean["body"] ?? .null) }
        return line
    }

    /// nil if nothing needs masking.
    private mutating func redacted(_ value: JSONValue) -> JSONValue? {
        let (once, found) = masked(value)
        // A secret may occur before the place where it is named.
        let learned = found.filter { known.learn($0) }
        return learned.isEmpty ? once : masked(once ?? value).clean ?? once
    }

    private func masked(_ value: JSONValue) -> (clean: JSONValue?, found: [String]) {
        var redaction = Redaction { known.masked($0) }
        let clean = redaction.redacted(value)
        return (clean, redaction.found)
    }
}
