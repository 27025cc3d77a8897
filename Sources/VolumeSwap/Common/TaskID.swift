/// Names a task for ever: the same message, delivered twice, has the same id.
package struct TaskID: Sendable, Hashable, Codable, CustomStringConvertible {
    package let text: String

    package init(_ text: String) { self.text = text }

    /// Derived from oslo.messaging's `_unique_id`, else from `_msg_id`.
    ///
    /// A plain token is kept as it is, so that operators find it on the bus; anything else is replaced by its 128-bit FNV-1a hash.
    package init?(uniqueID: String?, messageID: String?) {
        guard let source = [uniqueID, messageID].compactMap({ $0 }).first(where: { !$0.isEmpty }) else { return nil }
        let isPlain = source.utf8.count <= 64 && source.utf8.allSatisfy(Self.isTokenByte)
        text = isPlain ? source : Self.fnv1a128(source)
    }

    package var description: String { text }

    private static func isTokenByte(_ byte: UInt8) -> Bool {
        (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte) || byte == UInt8(ascii: "-")
    }

    static func fnv1a128(_ source: String) -> String {
        var hash: UInt128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d
        for byte in source.utf8 { hash = (hash ^ UInt128(byte)) &* 0x0000_0000_0100_0000_0000_0000_0000_013B }
        let digits = String(hash, radix: 16)
        return String(repeating: "0", count: 32 - digits.count) + digits
    }
}
