import Basics

/// A piece of an HTML document, built as a tree, so that whatever comes from outside is escaped.
enum HTML: Sendable {
    indirect case element(String, [(String, String)], [HTML])
    case text(String)
    /// Style rules of this program, which are not escaped.
    case style(String)

    /// An element with children.
    static func tag(_ name: String, _ attributes: [(String, String)] = [], _ children: [HTML]) -> HTML {
        .element(name, attributes, children)
    }

    /// An element with a text.
    static func tag(_ name: String, _ attributes: [(String, String)] = [], text: String) -> HTML {
        .element(name, attributes, [.text(text)])
    }

    private static let withoutEnd: Set = ["meta", "br"]

    var rendered: String {
        switch self {
        case .text(let text): Self.escaped(text)
        case .style(let rules): "<style>\(rules)</style>"
        case .element(let name, let attributes, let children):
            "<\(name)\(attributes.map { " \($0.0)=\"\(Self.escaped($0.1))\"" }.joined())>"
                + children.map(\.rendered).joined() + (Self.withoutEnd.contains(name) ? "" : "</\(name)>")
        }
    }

    /// The text without a character that HTML or a terminal would take for more than text.
    static func escaped(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            case "'": result += "&#39;"
            case _ where scalar.isUnsafeInText: result.unicodeScalars.append("\u{FFFD}")
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}
