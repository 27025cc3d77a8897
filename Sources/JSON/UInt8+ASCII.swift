extension UInt8 {
    static let quote = UInt8(ascii: "\"")
    static let apostrophe = UInt8(ascii: "'")
    static let dot = UInt8(ascii: ".")
    static let slash = UInt8(ascii: "/")
    static let hyphen = UInt8(ascii: "-")
    static let backslash = UInt8(ascii: "\\")
    static let colon = UInt8(ascii: ":")
    static let equals = UInt8(ascii: "=")
    static let at = UInt8(ascii: "@")
    static let openBracket = UInt8(ascii: "[")
    static let openBrace = UInt8(ascii: "{")
    static let less = UInt8(ascii: "<")
    static let percent = UInt8(ascii: "%")
    static let comma = UInt8(ascii: ",")

    /// Whether it is 0–9.
    package var isDigit: Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(self) }
    /// Whether it is A–Z.
    package var isCapital: Bool { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(self) }
    /// Whether it is a–z.
    package var isSmall: Bool { (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(self) }
    var isLetterOrDigit: Bool { isSmall || isCapital || isDigit }
    var isHexadecimal: Bool { isDigit || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(self | 0x20) }
    var isQuote: Bool { self == .quote || self == .apostrophe }
    var isLineEnd: Bool { self == UInt8(ascii: "\n") || self == UInt8(ascii: "\r") }
    /// Whether it is a space, tab or line end.
    package var isBlank: Bool { self == UInt8(ascii: " ") || self == UInt8(ascii: "\t") || isLineEnd }

    /// Whether it can be part of a name such as `auth_password` or `--auth-password`.
    package var isNamePart: Bool { isLetterOrDigit || self == UInt8(ascii: "_") || self == .hyphen }

    /// Whether it can be part of a name, path or address, separators aside.
    var isOfIdentifier: Bool { isNamePart || [.dot, .slash, .at, UInt8(ascii: "+"), UInt8(ascii: "#")].contains(self) }
}
