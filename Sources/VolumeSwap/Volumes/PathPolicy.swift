/// Which host paths may become a destination: `allowed_paths`.
///
/// A directory allows everything below it. An entry with `*`, `?` or `[…]` is a glob in which `*` does not match `/`. Paths are
/// compared as bytes and scalars: strings that Swift considers equal may name two files.
package struct PathPolicy: Sendable {
    private enum Rule: Sendable {
        case below(String)
        case glob([Unicode.Scalar])
    }

    private let rules: [Rule]

    /// - Parameter patterns: absolute directories and globs.
    package init(_ patterns: [String]) {
        rules = patterns.flatMap { pattern -> [Rule] in
            guard pattern.unicodeScalars.contains(where: { "*?[".unicodeScalars.contains($0) }) else {
                return [.below(pattern.hasSuffix("/") ? String(pattern.dropLast()) : pattern)]
            }
            return [.glob(Array(pattern.unicodeScalars)), .glob(Array((pattern + "/**").unicodeScalars))]
        }
    }

    /// Whether a path is allowed, by where its symlinks lead.
    ///
    /// For a block device, names in /dev on the way also qualify: only the host creates links there, for LVM among others.
    package func allows(_ path: PathDescription) -> Bool {
        if allows(resolved: path.canonicalPath) { return true }
        return path.kind == .block && path.names.contains { $0.hasPrefix("/dev/") && allows(resolved: $0) }
    }

    /// Whether a path without `.`, `..` or symlinks is allowed.
    package func allows(resolved path: String) -> Bool {
        guard path.utf8.first == UInt8(ascii: "/"), !Self.climbs(path) else { return false }
        return rules.contains { rule in
            switch rule {
            case .below(let directory): Self.isBelow(directory, path)
            case .glob(let pattern): Self.matches(Array(path.unicodeScalars)[...], pattern[...])
            }
        }
    }

    private static func climbs(_ path: String) -> Bool {
        path.utf8.split(separator: UInt8(ascii: "/")).contains { $0.elementsEqual("..".utf8) || $0.elementsEqual(".".utf8) }
    }

    private static func isBelow(_ directory: String, _ path: String) -> Bool {
        guard path.utf8.starts(with: directory.utf8) else { return false }
        let rest = path.utf8.dropFirst(directory.utf8.count)
        return rest.isEmpty || rest.first == UInt8(ascii: "/")
    }

    private static func matches(_ text: ArraySlice<Unicode.Scalar>, _ pattern: ArraySlice<Unicode.Scalar>) -> Bool {
        guard let first = pattern.first else { return text.isEmpty }
        let rest = pattern.dropFirst()
        switch first {
        case "*":
            if rest.first == "*" { return true }
            var tail = text
            while true {
                if matches(tail, rest) { return true }
                guard let next = tail.first, next != "/" else { return false }
                tail = tail.dropFirst()
            }
        case "?":
            guard let next = text.first, next != "/" else { return false }
            return matches(text.dropFirst(), rest)
        case "[":
            guard let end = rest.dropFirst().firstIndex(of: "]"), let next = text.first, next != "/" else { return false }
            return contains(rest[rest.startIndex..<end], next) && matches(text.dropFirst(), rest[(end + 1)...])
        default:
            return text.first == first && matches(text.dropFirst(), rest)
        }
    }

    private static func contains(_ characterClass: ArraySlice<Unicode.Scalar>, _ scalar: Unicode.Scalar) -> Bool {
        let negated = characterClass.first == "!" || characterClass.first == "^"
        let members = Array(negated ? characterClass.dropFirst() : characterClass)
        var found = false
        var index = 0
        while index < members.count {
            if index + 2 < members.count, members[index + 1] == "-" {
                found = found || (members[index] <= scalar && scalar <= members[index + 2])
                index += 3
            } else {
                found = found || members[index] == scalar
                index += 1
            }
        }
        return found != negated
    }
}
