import Foundation
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
        switch line.body {
        case .json(let value):
            // As one value: what the one names may stand in the other.
            let whole: JSONValue = ["properties": line.properties.json, "body": value]
            guard let clean = redaction.redacted(whole) else { return line }
            line.properties = MessageProperties(json: clean["properties"])
            line.body = .json(clean["body"] ?? .null)
        case .bytes(let bytes):
            if let clean = redaction.redacted(line.properties.json) { line.properties = MessageProperties(json: clean) }
            line.body = .bytes(isReadable(bytes) ? redaction.redacted(bytes) : Array(JSONValue.redactionMark.utf8))
        }
        return line
    }

    /// Whether a secret in these bytes would be found: not in what is compressed, nor beside its name in two bytes a letter or in
    /// Base64.
    private mutating func isReadable(_ bytes: [UInt8]) -> Bool {
        if Self.isCompressed(bytes) { return false }
        if let text = Data(base64Encoded: Data(bytes)), !bytes.isEmpty { return !holdsSecret([UInt8](text)) }
        return !bytes.contains(0) || !holdsSecret(bytes.filter { $0 != 0 })
    }

    private mutating func holdsSecret(_ bytes: [UInt8]) -> Bool { redaction.redacted(bytes) != bytes }

    /// gzip, zstd, bzip2, xz, and zlib, whose first two bytes are a multiple of 31.
    private static func isCompressed(_ bytes: [UInt8]) -> Bool {
        let beginnings: [[UInt8]] = [
            [0x1f, 0x8b], [0x28, 0xb5, 0x2f, 0xfd], Array("BZh".utf8), [0xfd, 0x37, 0x7a, 0x58], [0x5d, 0, 0],
        ]
        if beginnings.contains(where: bytes.starts) { return true }
        let isText = bytes.allSatisfy { $0 >= 0x20 && $0 < 0x80 || $0 == 0x0a }
        return bytes.count > 2 && bytes[0] == 0x78 && (Int(bytes[0]) << 8 | Int(bytes[1])) % 31 == 0 && !isText
    }
}
