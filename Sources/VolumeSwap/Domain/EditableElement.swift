import Foundation
import FoundationXML

/// An XML element to edit. All that is not edited is written as it was read, except for the order of attributes.
///
/// FoundationXML's own tree would do, but never frees a document that it has parsed: `XMLNode` retains itself.
final class EditableElement {
    private enum Content {
        case element(EditableElement)
        case text(String)
        case comment(String)
        case instruction(target: String, data: String?)
    }

    let name: String
    private var attributes: [String: String] = [:]
    private var contents: [Content] = []

    /// Attributes without a value are left out.
    init(_ name: String, _ attributes: [(String, String?)] = [], _ children: [EditableElement] = []) {
        self.name = name
        for (key, value) in attributes { self.attributes[key] = value }
        contents = children.map(Content.element)
    }

    /// Parses a document's root element; anything outside it is ignored.
    ///
    /// - Throws: ``SwapFailure`` of kind `volumeRebaseFailed` if it is not well-formed.
    static func parse(_ xml: String) throws(SwapFailure) -> EditableElement {
        let parser = XMLParser(data: Data(xml.utf8))
        let reader = Reader()
        parser.delegate = reader
        guard parser.parse(), let root = reader.root else { throw .unreadable(parser) }
        return root
    }

    /// The name without its namespace's prefix.
    var localName: Substring { name.split(separator: ":").last ?? Substring(name) }

    var children: [EditableElement] {
        contents.compactMap { if case .element(let child) = $0 { child } else { nil } }
    }

    /// The text directly inside, in one piece; setting it replaces all that is inside.
    var text: String {
        get { contents.map { if case .text(let text) = $0 { text } else { "" } }.joined() }
        set { contents = [.text(newValue)] }
    }

    func all(_ name: String) -> [EditableElement] { children.filter { $0.name == name } }
    func first(_ name: String) -> EditableElement? { children.first { $0.name == name } }

    func value(_ attribute: String) -> String? { attributes[attribute] }
    func set(_ attribute: String, _ value: String?) { attributes[attribute] = value }

    func add(_ child: EditableElement) { contents.append(.element(child)) }

    func remove(where isUnwanted: (EditableElement) -> Bool) {
        contents.removeAll { if case .element(let child) = $0 { isUnwanted(child) } else { false } }
    }

    /// Its present contents, to compare.
    var tree: XMLTree { XMLTree(name, attributes, children.map(\.tree), text: text) }

    /// A copy that shares nothing with the original.
    func copy() -> EditableElement {
        let copy = EditableElement(name)
        copy.attributes = attributes
        copy.contents = contents.map { if case .element(let child) = $0 { .element(child.copy()) } else { $0 } }
        return copy
    }

    var xml: String {
        var output = XMLText()
        write(to: &output)
        return output.text
    }

    private func write(to output: inout XMLText) {
        output.append("<")
        output.append(name)
        output.append(attributes: attributes)
        guard !contents.isEmpty else { return output.append("/>") }
        output.append(">")
        for content in contents {
            switch content {
            case .element(let child): child.write(to: &output)
            case .text(let text): output.append(escaped: text, inAttribute: false)
            case .comment(let text): output.append("<!--\(text)-->")
            case .instruction(let target, let data): output.append("<?\(target)\(data.map { " " + $0 } ?? "")?>")
            }
        }
        output.append("</")
        output.append(name)
        output.append(">")
    }

    /// Builds the tree from the parser's callbacks.
    private final class Reader: NSObject, XMLParserDelegate {
        private(set) var root: EditableElement?
        /// The open elements, from the root down.
        private var open: [EditableElement] = []

        func parser(
            _ parser: XMLParser, didStartElement name: String, namespaceURI: String?, qualifiedName: String?,
            attributes: [String: String]
        ) {
            let element = EditableElement(name)
            element.attributes = attributes
            open.last?.add(element)
            open.append(element)
        }

        func parser(_ parser: XMLParser, didEndElement name: String, namespaceURI: String?, qualifiedName: String?) {
            let element = open.popLast()
            if open.isEmpty { root = element }
        }

        func parser(_ parser: XMLParser, foundCharacters text: String) { add(.text(text)) }

        func parser(_ parser: XMLParser, foundCDATA block: Data) { add(.text(String(decoding: block, as: UTF8.self))) }

        func parser(_ parser: XMLParser, foundComment text: String) { add(.comment(text)) }

        func parser(_ parser: XMLParser, foundProcessingInstructionWithTarget target: String, data: String?) {
            add(.instruction(target: target, data: data))
        }

        private func add(_ content: Content) { open.last?.contents.append(content) }
    }
}
