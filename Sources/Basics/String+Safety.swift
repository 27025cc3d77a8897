extension Unicode.Scalar {
    /// Whether it is a control character: C0, DEL or C1.
    package var isControl: Bool { value < 0x20 || (0x7F...0x9F).contains(value) }

    /// Whether it could forge, break or reorder a line of text: a control character, a line or paragraph separator, or a mark or
    /// override of the text's direction.
    package var isUnsafeInText: Bool {
        switch value {
        case 0x200E, 0x200F, 0x2028...0x202E, 0x2066...0x2069: true
        default: isControl
        }
    }
}

extension String {
    /// With U+FFFD for each control character, so that text from elsewhere can do nothing to a terminal.
    package var escapingControls: String { replacingControls(with: "\u{FFFD}") }

    /// With another character for each control character.
    package func replacingControls(with replacement: Unicode.Scalar) -> String {
        guard unicodeScalars.contains(where: \.isControl) else { return self }
        return String(UnicodeScalarView(unicodeScalars.map { $0.isControl ? replacement : $0 }))
    }

    /// The first Unicode scalars, and an ellipsis if there are more.
    ///
    /// - Parameter atWord: Whether to end with the last whole word, if one begins in the second half.
    package func cut(to limit: Int, atWord: Bool = false) -> String {
        guard utf8.count > limit,
            let end = unicodeScalars.index(startIndex, offsetBy: limit, limitedBy: endIndex), end < endIndex
        else { return self }
        let kept = unicodeScalars[..<end]
        guard atWord, unicodeScalars[end] != " ", let blank = kept.lastIndex(of: " "),
            unicodeScalars.distance(from: startIndex, to: blank) >= limit / 2
        else { return String(kept) + "…" }
        return String(kept[..<blank]) + " …"
    }
}
