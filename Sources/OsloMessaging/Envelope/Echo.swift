import Basics

/// Limits how much of a request is quoted, in replies and in the log.
package enum Echo {
    /// Maximum Unicode scalars of one string.
    package static let limit = 256
    /// Maximum Unicode scalars of a reason that may quote several strings.
    private static let reasonLimit = 2048

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
}
