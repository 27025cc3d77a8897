import Foundation
import FoundationXML

/// A domain's XML as a tree, never edited as a string: the serialiser escapes what is put in.
struct DomainDocument {
    let document: XMLDocument
    let root: XMLElement

    init(xml: String) throws(SwapFailure) {
        // An empty string crashes FoundationXML.
        guard !xml.isEmpty else { throw .rebaseFailed("the domain's XML is empty") }
        do {
            document = try XMLDocument(xmlString: xml, options: [.nodeLoadExternalEntitiesNever, .nodePreserveWhitespace])
        } catch {
            throw .rebaseFailed("the domain's XML could not be read: \(error.localizedDescription)")
        }
        guard let root = document.rootElement(), root.name == "domain" else {
            throw .rebaseFailed("the domain's XML has no <domain> element")
        }
        self.root = root
    }

    var xml: String { document.xmlString(options: [.nodeCompactEmptyElement, .nodePreserveWhitespace]) }

    var diskElements: [XMLElement] { root.first("devices")?.elements(forName: "disk") ?? [] }

    /// Graphical consoles, which may have passwords.
    var consoles: [XMLElement] { root.first("devices")?.elements(forName: "graphics") ?? [] }

    /// Disks by target, interfaces by MAC address.
    var deviceElements: [(name: String, element: XMLElement)] {
        let disks = diskElements.compactMap { disk in disk.first("target")?.value("dev").map { ("disk \($0)", disk) } }
        let interfaces = (root.first("devices")?.elements(forName: "interface") ?? []).compactMap { interface in
            interface.first("mac")?.value("address").map { ("interface \($0.lowercased())", interface) }
        }
        return disks + interfaces
    }

    func diskElement(_ target: String) -> XMLElement? {
        diskElements.first { $0.first("target")?.value("dev") == target }
    }
}

extension XMLElement {
    func first(_ name: String) -> XMLElement? { elements(forName: name).first }
    func value(_ attribute: String) -> String? { self.attribute(forName: attribute)?.stringValue }

    func set(_ attribute: String, _ value: String) {
        removeAttribute(forName: attribute)
        let node = XMLNode(kind: .attribute)
        node.name = attribute
        node.stringValue = value
        addAttribute(node)
    }

    /// Builds an element; attributes without a value are left out.
    convenience init(_ name: String, _ attributes: [(String, String?)] = [], _ children: [XMLElement] = []) {
        self.init(name: name)
        for (key, value) in attributes {
            if let value { set(key, value) }
        }
        for child in children { addChild(child) }
    }

    func removeChildren(named names: Set<String>) {
        for child in children ?? [] where names.contains(child.name ?? "") { child.detach() }
    }

    func detachedCopy() -> XMLElement? {
        guard let copy = copy() as? XMLElement else { return nil }
        copy.detach()
        return copy
    }
}
