import Foundation
import FoundationXML
import JSON

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

    /// The same string for equal trees: attributes sorted, text without the blanks around it.
    var canonicalText: String {
        let attributes = attributes.map { " \($0.key)=\($0.value)" }.sorted()
        let bytes = text.utf8
        let (first, last) = (bytes.firstIndex { !$0.isBlank }, bytes.lastIndex { !$0.isBlank })
        let text = if let first, let last { String(Substring(bytes[first...last])) } else { "" }
        return "<\(name)\(attributes.joined())>\(text)\(children.map(\.canonicalText).joined())"
    }

    /// The element as XML, with attributes sorted by name.
    package var xml: String {
        var output = XMLText()
        write(to: &output)
        return output.text
    }

    private func write(to output: inout XMLText) {
        output.append("<")
        output.append(name)
        output.append(attributes: attributes)
        guard !children.isEmpty || !text.isEmpty else { return output.append("/>") }
        output.append(">")
        output.append(escaped: text, inAttribute: true)
        for child in children { child.write(to: &output) }
        output.append("</")
        output.append(name)
        output.append(">")
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
