/// A shell pattern in which `*` matches anything, also a `/`, and `?` one character. Compared without regard to case.
package struct Glob: Sendable, Hashable, CustomStringConvertible {
    /// As it was written.
    package let description: String
    private let pattern: [Character]

    package init(_ pattern: String) {
        description = pattern
        self.pattern = Array(pattern.lowercased())
    }

    /// Whether it matches all of a string. Takes time proportional to both lengths.
    package func matches(_ text: String) -> Bool {
        let text = Array(text.lowercased())
        var (at, next) = (0, 0)
        /// Where the last `*` was, and how much of the text it has taken.
        var star: (next: Int, at: Int)?
        while at < text.count {
            if next < pattern.count, pattern[next] == "*" {
                star = (next, at)
                next += 1
            } else if next < pattern.count, pattern[next] == "?" || pattern[next] == text[at] {
                (at, next) = (at + 1, next + 1)
            } else if let last = star {
                star = (last.next, last.at + 1)
                (at, next) = (last.at + 1, last.next + 1)
            } else {
                return false
            }
        }
        return pattern[next...].allSatisfy { $0 == "*" }
    }
}
