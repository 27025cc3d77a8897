extension UInt8 {
    static let tab = UInt8(ascii: "\t")
    static let space = UInt8(ascii: " ")
    static let quote = UInt8(ascii: "\"")
    static let apostrophe = UInt8(ascii: "'")
    static let percent = UInt8(ascii: "%")
    static let ampersand = UInt8(ascii: "&")
    static let plus = UInt8(ascii: "+")
    static let comma = UInt8(ascii: ",")
    static let hyphen = UInt8(ascii: "-")
    static let dot = UInt8(ascii: ".")
    static let slash = UInt8(ascii: "/")
    static let backslash = UInt8(ascii: "\\")
    static let colon = UInt8(ascii: ":")
    static let semicolon = UInt8(ascii: ";")
    static let equals = UInt8(ascii: "=")
    static let less = UInt8(ascii: "<")
    static let greater = UInt8(ascii: ">")
    static let at = UInt8(ascii: "@")
    static let pipe = UInt8(ascii: "|")
    static let openParenthesis = UInt8(ascii: "(")
    static let closeParenthesis = UInt8(ascii: ")")
    static let openBracket = UInt8(ascii: "[")
    static let closeBracket = UInt8(ascii: "]")
    static let openBrace = UInt8(ascii: "{")
    static let closeBrace = UInt8(ascii: "}")

    var isDigit: Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(self) }
    var isCapital: Bool { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(self) }
    var isSmall: Bool { (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(self) }
    var isLetterOrDigit: Bool { isSmall || isCapital || isDigit }
    var isHexadecimal: Bool { isDigit || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(self | 0x20) }
    var isQuote: Bool { self == .quote || self == .apostrophe }
    var isLineEnd: Bool { self == UInt8(ascii: "\n") || self == UInt8(ascii: "\r") }
    var isBlank: Bool { self == .space || self == .tab || isLineEnd }
    var isControl: Bool { self < 0x20 && !isBlank || self == 0x7f }

    /// Of a word such as `auth_password` or `--auth-password`.
    var isNamePart: Bool { isLetterOrDigit || self == UInt8(ascii: "_") || self == .hyphen }

    /// What names, paths and addresses are made of, signs aside.
    var isOfIdentifier: Bool { isNamePart || [.dot, .slash, .at, .plus, UInt8(ascii: "#")].contains(self) }

    /// What may stand between the arguments of a command or the elements of a list.
    var isListed: Bool { isBlank || isQuote || self == .comma || self == .backslash }

    /// Python's `u`, `b`, `r` and `f` before a quote.
    var isStringPrefix: Bool { "ubrf".utf8.contains(self | 0x20) }

    /// What may stand between a value and the next name.
    var isSeparator: Bool {
        switch self {
        case .comma, .semicolon, .ampersand, .backslash, .openBrace, .closeBrace, .openBracket, .closeBracket,
            .openParenthesis, .closeParenthesis, .less, .greater:
            true
        default: isBlank && !isLineEnd || isQuote
        }
    }
}
