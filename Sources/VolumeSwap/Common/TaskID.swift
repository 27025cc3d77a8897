import Basics

/// Identifies a task permanently: the same message, delivered twice, has the same id.
package struct TaskID: Sendable, Hashable, Codable, CustomStringConvertible {
    /// The id on the bus and in the journal.
    package let text: String

    package init(_ text: String) { self.text = text }

    /// The id of a message: its oslo.messaging `_unique_id`, else its `_msg_id`; nil if it has neither.
    ///
    /// A plain token is kept, so that operators can find it on the bus; anything else is replaced by its 128-bit FNV-1a hash.
    package init?(uniqueID: String?, messageID: String?) {
        guard let source = [uniqueID, messageID].compactMap({ $0 }).first(where: { !$0.isEmpty }) else { return nil }
        let isPlain = source.utf8.count <= 64 && source.utf8.allSatisfy(Self.isTokenByte)
        text = isPlain ? source : FNV1a.hash128(source).padded(to: 32, radix: 16)
    }

    package var description: String { text }

    private static func isTokenByte(_ byte: UInt8) -> Bool {
        (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte) || byte == UInt8(ascii: "-")
    }
}
