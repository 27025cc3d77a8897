import Basics
import Foundation
package import JSON

/// oslo.messaging's message envelope, version 2.0: `{"oslo.version": "2.0", "oslo.message": "<JSON>"}`.
///
/// Mirrors `serialize_msg` and `deserialize_msg` of `oslo_messaging/_drivers/common.py`.
package enum MessageEnvelope {
    /// `oslo.version` of envelopes written here.
    package static let version = "2.0"
    /// Content type of every oslo.messaging message.
    package static let contentType = "application/json"
    /// Content encoding of every oslo.messaging message.
    package static let contentEncoding = "utf-8"

    private static let versionKey = "oslo.version"
    private static let messageKey = "oslo.message"

    /// Returns the body of a message with this content.
    package static func wrap(_ inner: JSONObject) -> [UInt8] {
        let envelope: JSONValue = [
            versionKey: .string(version), messageKey: .string(JSONValue.object(inner).serialized()),
        ]
        return envelope.serializedBytes()
    }

    /// Returns the content of a message body, with or without an envelope of any version 2.x.
    ///
    /// - Throws: ``EnvelopeError``, without a reply address.
    package static func unwrap(_ body: [UInt8]) throws(EnvelopeError) -> JSONObject {
        let outer = try object(parsing: body, what: "the body")
        guard let version = outer[versionKey], let message = outer[messageKey] else { return outer }
        guard let version = version.stringValue else {
            throw EnvelopeError(
                code: .unsupportedVersion, message: "oslo.version: must be a string, is of type \(version.typeName)")
        }
        guard RPCVersion(version)?.major == 2 else {
            throw EnvelopeError(
                code: .unsupportedVersion,
                message: "envelope version \(version.cut(to: 16)) is not supported, only 2.x")
        }
        guard let text = message.stringValue else {
            throw EnvelopeError(code: .wrongType, message: "oslo.message: must be a string, is of type \(message.typeName)")
        }
        return try object(parsing: text.utf8, what: "oslo.message")
    }

    /// Bytes searched at the end of an unreadable body; oslo.messaging puts the reply address after the arguments.
    package static let tailLength = 4096

    /// Finds the reply address in content that cannot be parsed: Python writes NaN, lone surrogates and numbers of any size,
    /// which are not JSON here, and the caller still waits. Uses the last occurrence of each name, whose value must be a plain
    /// token.
    static func address(inUnreadable body: [UInt8]) -> ReplyAddress? {
        // Inside an envelope the quotes are escaped.
        let text = String(decoding: body.suffix(tailLength).filter { $0 != UInt8(ascii: "\\") }, as: UTF8.self)
        guard let messageID = token("_msg_id", in: text), let queue = token("_reply_q", in: text) else { return nil }
        let address = ReplyAddress(messageID: messageID, replyQueue: queue, timeout: nil)
        return address.isReserved ? nil : address
    }

    private static func token(_ name: String, in text: String) -> String? {
        guard let found = text.range(of: "\"\(name)\"", options: .backwards) else { return nil }
        let rest = text[found.upperBound...].drop { $0 == " " }
        guard rest.first == ":" else { return nil }
        let value = rest.dropFirst().drop { $0 == " " }
        guard value.first == "\"" else { return nil }
        let token = value.dropFirst().prefix { $0 != "\"" }
        let isPlain = token.utf8.allSatisfy {
            (48...57).contains($0) || (97...122).contains($0) || (65...90).contains($0) || "_-.".utf8.contains($0)
        }
        return (1...255).contains(token.utf8.count) && isPlain ? String(token) : nil
    }

    private static func object(parsing bytes: some Collection<UInt8>, what: String) throws(EnvelopeError) -> JSONObject {
        let value: JSONValue
        do {
            value = try JSONValue(parsing: bytes)
        } catch {
            throw EnvelopeError(code: .notJSON, message: "\(what) is not JSON: \(error)")
        }
        guard let object = value.objectValue else {
            throw EnvelopeError(code: .wrongType, message: "\(what) must be a JSON object, is of type \(value.typeName)")
        }
        return object
    }
}
