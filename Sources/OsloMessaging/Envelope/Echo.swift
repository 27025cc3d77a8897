import Basics
package import JSON

/// Limits how much of a request is quoted, in replies and in the log.
package enum Echo {
    /// Maximum Unicode scalars of one string.
    package static let limit = 256
    /// Maximum Unicode scalars of a reason that may quote several strings.
    private static let reasonLimit = 2048
    /// Maximum number of strings of a request that are searched for in a reason.
    private static let searched = 100

    /// The beginning of a string that a client chose.
    package static func cut(_ text: String) -> String { text.cut(to: limit) }

    /// A reason with each word, and the whole, truncated: reasons quote values of a request as words.
    package static func cutWords(of reason: String) -> String {
        guard reason.utf8.count > limit else { return reason }
        var cut: [String] = []
        var room = reasonLimit
        for word in reason.unicodeScalars.split(separator: " ", omittingEmptySubsequences: false) {
            guard room > 0 else { break }
            let text = String(word).cut(to: limit)
            cut.append(text)
            room -= text.unicodeScalars.count + 1
        }
        return cut.joined(separator: " ").cut(to: reasonLimit)
    }

    /// A reason with each string of the request that it quotes truncated, blanks and all, and then as ``cutWords(of:)`` does.
    package static func cut(_ reason: String, quoting args: JSONObject) -> String {
        guard reason.utf8.count > limit else { return reason }
        var bytes = Array(reason.utf8)
        // One may contain another.
        let quoted = longStrings(in: .object(args), atMost: bytes.count).sorted { $0.utf8.count > $1.utf8.count }
        for text in quoted.prefix(searched) {
            bytes = bytes.replacing(Array(text.utf8), with: Array(cut(text).utf8))
        }
        return cutWords(of: String(decoding: bytes, as: UTF8.self))
    }

    private static func longStrings(in value: JSONValue, atMost length: Int) -> Set<String> {
        switch value {
        case .string(let text): text.utf8.count > limit && text.utf8.count <= length ? [text] : []
        case .array(let members): members.reduce(into: []) { $0.formUnion(longStrings(in: $1, atMost: length)) }
        case .object(let members): members.values.reduce(into: []) { $0.formUnion(longStrings(in: $1, atMost: length)) }
        default: []
        }
    }
}
