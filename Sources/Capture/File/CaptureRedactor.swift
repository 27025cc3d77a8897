import JSON
import OrderedCollections
import OsloMessaging

/// Replaces every password, key and token by `***` in the properties and bodies of captured messages, which can still be replayed.
///
/// Remembers the secrets that it has seen under their names, and finds them again in later texts: a failure may quote the password
/// that its request brought.
package struct CaptureRedactor: Sendable {
    private var redaction = Redaction(remembers: true)

    package init() {}

    /// The line without its secrets.
    package mutating func redacted(_ line: CaptureLine) -> CaptureLine {
        var line = line
        line.body = redacted(line.body)
        let properties = redacted(line.properties.json)
        line.properties = MessageProperties(json: properties)
        return line
    }

    private mutating func redacted(_ value: JSONValue) -> JSONValue { redaction.redacted(value) ?? value }

    private mutating func redacted(_ body: CaptureLine.Body) -> CaptureLine.Body {
        switch body {
        case .json(let value): .json(redacted(value))
        case .bytes(let bytes): .bytes(isReadable(bytes) ? redaction.redacted(bytes) : Array(JSONValue.redactionMark.utf8))
        }
    }

    /// Whether a secret in these bytes would be found: not in what is compressed, nor beside its name in two bytes a letter.
    private func isReadable(_ bytes: [UInt8]) -> Bool {
        let magic: [[UInt8]] = [[0x1f, 0x8b], [0x78, 0x01], [0x78, 0x9c], [0x78, 0xda], [0x28, 0xb5, 0x2f, 0xfd]]
        if magic.contains(where: bytes.starts) { return false }
        guard bytes.contains(0) else { return true }
        let letters = bytes.filter { $0 != 0 }
        return redaction.redacted(letters) == letters
    }
}
