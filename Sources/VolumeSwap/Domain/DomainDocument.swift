/// A domain's XML as a tree, never edited as a string: the serialiser escapes what is put in.
struct DomainDocument {
    let root: EditableElement

    init(xml: String) throws(SwapFailure) {
        root = try EditableElement.parse(xml)
        guard root.name == "domain" else { throw .rebaseFailed("the domain's XML has no <domain> element") }
    }

    var xml: String { root.xml }

    var devices: EditableElement? { root.first("devices") }

    var diskElements: [EditableElement] { devices?.all("disk") ?? [] }

    /// Graphical consoles, which may have passwords.
    var consoles: [EditableElement] { devices?.all("graphics") ?? [] }

    /// Disks by target, interfaces by MAC address.
    var deviceElements: [(name: String, element: EditableElement)] {
        let disks = diskElements.compactMap { disk in disk.first("target")?.value("dev").map { ("disk \($0)", disk) } }
        let interfaces = (devices?.all("interface") ?? []).compactMap { interface in
            interface.first("mac")?.value("address").map { ("interface \($0.lowercased())", interface) }
        }
        return disks + interfaces
    }

    func diskElement(_ target: String) -> EditableElement? {
        diskElements.first { $0.first("target")?.value("dev") == target }
    }
}
