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

    /// The devices that have a ``XMLTree/deviceName``.
    var namedDevices: [(name: String, element: EditableElement)] {
        (devices?.children ?? []).compactMap { element in element.tree.deviceName.map { ($0, element) } }
    }

    /// How many devices there are of each kind without a name, except for what libvirt adds by itself.
    var otherDevices: [String: Int] {
        let others = (devices?.children ?? []).filter { !["emulator", "audio"].contains($0.name) && $0.tree.deviceName == nil }
        return Dictionary(others.map { ($0.name, 1) }, uniquingKeysWith: +)
    }

    func diskElement(_ target: String) -> EditableElement? {
        diskElements.first { $0.first("target")?.value("dev") == target }
    }
}
