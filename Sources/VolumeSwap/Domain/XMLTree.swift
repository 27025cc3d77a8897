import Foundation
import FoundationXML

/// An XML element as a plain value, for reading domains and generating simulated ones.
///
/// Edits use ``EditableElement``, which leaves everything else unchanged.
package struct XMLTree: Sendable, Hashable {
    package var name: String
    package var attributes: [String: String]
    package var children: [XMLTree]
    /// The text directly inside, in one piece.
    package var text: String

    package init(_ name: String, _ attributes: [String: String] = [:], _ children: [XMLTree] = [], text: String = "") {
        self.name = name
        self.attributes = attributes
        self.children = children
        self.text = text
    }

    /// Parses a document's root element; anything after it is ignored.
    ///
    /// - Throws: ``SwapFailure`` of kind `volumeRebaseFailed` if it is not well-formed.
    package init(parsing xml: String) throws(SwapFailure) {
        let parser = XMLParser(data: Data(xml.utf8))
        let builder = XMLTreeBuilder()
        parser.delegate = builder
        guard parser.parse(), let root = builder.root else { throw .unreadable(parser) }
        self = root
    }

    /// The value of an attribute.
    package func value(_ attribute: String) -> String? { attributes[attribute] }
    /// The first child element with this name.
    package func first(_ name: String) -> XMLTree? { children.first { $0.name == name } }
    /// All child elements with this name.
    package func all(_ name: String) -> [XMLTree] { children.filter { $0.name == name } }

    /// The same string for equal trees: attributes sorted, blank text dropped.
    var canonicalText: String {
        let attributes = attributes.map { " \($0.key)=\($0.value)" }.sorted()
        let text = text.trimmingCharacters(in: .whitespacesAndNewlines)
        return "<\(name)\(attributes.joined())>\(text)\(children.map(\.canonicalText).joined())"
    }

    /// The element as XML, with attributes sorted by name.
    package var xml: String {
        var output = ""
        output.reserveCapacity(1000)
        write(to: &output)
        return output
    }

    private func write(to output: inout String) {
        output += "<"
        output += name
        if attributes.count > 1 {
            for (key, value) in attributes.sorted(by: { $0.key < $1.key }) { Self.write(key, value, to: &output) }
        } else if let (key, value) = attributes.first {
            Self.write(key, value, to: &output)
        }
        guard !children.isEmpty || !text.isEmpty else {
            output += "/>"
            return
        }
        output += ">"
        Self.escape(text, inAttribute: true, to: &output)
        for child in children { child.write(to: &output) }
        output += "</"
        output += name
        output += ">"
    }

    static func write(_ attribute: String, _ value: String, to output: inout String) {
        output += " "
        output += attribute
        output += "=\""
        escape(value, inAttribute: true, to: &output)
        output += "\""
    }

    /// Line breaks and tabs stay as they are outside attributes.
    static func escape(_ text: String, inAttribute: Bool, to output: inout String) {
        guard text.utf8.contains(where: isSpecial) else {
            output += text
            return
        }
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": output += "&amp;"
            case "<": output += "&lt;"
            case ">": output += "&gt;"
            case "\"": output += "&quot;"
            case "\n" where !inAttribute, "\t" where !inAttribute: output.unicodeScalars.append(scalar)
            case _ where scalar.value < 0x20: output += "&#\(scalar.value);"
            default: output.unicodeScalars.append(scalar)
            }
        }
    }

    private static func isSpecial(_ byte: UInt8) -> Bool {
        switch byte {
        case 0..<0x20, UInt8(ascii: "&"), UInt8(ascii: "<"), UInt8(ascii: ">"), UInt8(ascii: "\""): true
        default: false
        }
    }
}

extension SwapFailure {
    /// XML that the parser has refused.
    static func unreadable(_ parser: XMLParser) -> SwapFailure {
        let reason = parser.parserError.map { " (error \(($0 as NSError).code), line \(parser.lineNumber))" } ?? ""
        return .rebaseFailed("the XML could not be read\(reason)")
    }
}

/// Builds the tree from the parser's callbacks.
private final class XMLTreeBuilder: NSObject, XMLParserDelegate {
    private(set) var root: XMLTree?
    /// The open elements, from the root down.
    private var open: [XMLTree] = []

    func parser(
        _ parser: XMLParser, didStartElement name: String, namespaceURI: String?, qualifiedName: String?,
        attributes: [String: String]
    ) {
        open.append(XMLTree(name, attributes))
    }

    func parser(_ parser: XMLParser, didEndElement name: String, namespaceURI: String?, qualifiedName: String?) {
        guard let element = open.popLast() else { return }
        if open.isEmpty { root = element } else { open[open.count - 1].children.append(element) }
    }

    func parser(_ parser: XMLParser, foundCharacters text: String) { append(text) }

    func parser(_ parser: XMLParser, foundCDATA block: Data) { append(String(decoding: block, as: UTF8.self)) }

    private func append(_ text: String) { if !open.isEmpty { open[open.count - 1].text += text } }
}
