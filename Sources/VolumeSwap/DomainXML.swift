import FoundationXML

/// The few edits pivotd makes to XML, each from text to text through a tree.
package enum DomainXML {
    /// `<disk>` for `virDomainBlockCopy`: the destination, its format named.
    ///
    /// - Parameters:
    ///   - sliceBytes: shows QEMU only the first bytes of a larger volume, as it copies between equal sizes alone.
    ///   - detectZeroes: zeroes are unmapped on the new volume.
    package static func destination(_ source: VolumeSource, sliceBytes: Int64? = nil, detectZeroes: Bool = false)
        throws(SwapFailure) -> String
    {
        let (type, element) = try sourceElement(source.location)
        if let sliceBytes {
            let slice = XMLElement("slice", [("type", "storage"), ("offset", "0"), ("size", String(sliceBytes))])
            element.addChild(XMLElement("slices", [], [slice]))
        }
        if let auth = source.auth {
            element.addChild(XMLElement("auth", [("username", auth.username)], [secretElement(auth.secret)]))
        }
        if let secret = source.encryption {
            element.addChild(XMLElement("encryption", [("format", "luks")], [secretElement(secret)]))
        }
        let driver = XMLElement(
            "driver",
            [
                ("name", "qemu"), ("type", source.format), ("discard", detectZeroes ? "unmap" : nil),
                ("detect_zeroes", detectZeroes ? "unmap" : nil),
            ])
        let disk = XMLElement("disk", [("type", type), ("device", "disk")], [driver, element])
        return disk.xmlString
    }

    /// A stored configuration whose disk has the source that the live one has, slices left out; all else untouched.
    package static func stored(_ storedXML: String, disk: String, takingSourceFrom liveXML: String) throws(SwapFailure) -> String
    {
        let stored = try DomainDocument(xml: storedXML)
        let live = try DomainDocument(xml: liveXML)
        guard let target = stored.diskElement(disk), let origin = live.diskElement(disk) else {
            throw .rebaseFailed("disk \(disk) is missing from the domain's configuration")
        }
        target.removeChildren(named: ["source", "auth", "encryption", "backingStore", "mirror"])
        for name in ["source", "auth", "encryption"] {
            guard let copy = origin.first(name)?.detachedCopy() else { continue }
            copy.removeChildren(named: ["slices", "privateData"])
            copy.removeAttribute(forName: "index")
            target.addChild(copy)
        }
        if let type = origin.value("type") { target.set("type", type) }
        if let format = origin.first("driver")?.value("type") { target.first("driver")?.set("type", format) }
        return stored.xml
    }

    /// The element on a live domain that restores its definition when the journal is gone.
    package static func recoveryMetadata(task: TaskID, disk: String, definition: String) -> String {
        let text = XMLElement("definition")
        text.stringValue = definition
        return XMLElement("swap", [("task", task.text), ("disk", disk)], [text]).xmlString
    }

    /// The definition inside ``recoveryMetadata(task:disk:definition:)``.
    package static func recoveryDefinition(metadata: String) -> (task: TaskID, disk: String, definition: String)? {
        guard
            let document = try? XMLDocument(
                xmlString: metadata, options: [.nodeLoadExternalEntitiesNever, .nodePreserveWhitespace]),
            let root = document.rootElement(), let task = root.value("task"), let disk = root.value("disk"),
            let definition = root.elements(forName: "definition").first?.stringValue
                ?? root.children?.compactMap({ $0 as? XMLElement }).first(where: { $0.localName == "definition" })?.stringValue
        else { return nil }
        return (TaskID(task), disk, definition)
    }

    /// `<secret>` to define: private, kept, with the usage that the source refers to.
    package static func secret(uuid: String, usageType: String, usage: String, description: String) -> String {
        let key = ["iscsi": "target", "ceph": "name", "volume": "volume"][usageType] ?? "name"
        let usageElement = XMLElement("usage", [("type", usageType)], [text(key, usage)])
        let children = [text("uuid", uuid), text("description", description), usageElement]
        return XMLElement("secret", [("ephemeral", "no"), ("private", "yes")], children).xmlString
    }

    private static func text(_ name: String, _ value: String) -> XMLElement {
        let element = XMLElement(name)
        element.stringValue = value
        return element
    }

    private static func sourceElement(_ location: VolumeLocation) throws(SwapFailure) -> (type: String, XMLElement) {
        switch location {
        case .file(let path): return ("file", XMLElement("source", [("file", path)]))
        case .block(let path): return ("block", XMLElement("source", [("dev", path)]))
        case .network(let network):
            let element = XMLElement(
                "source", [("protocol", network.transport), ("name", network.name.isEmpty ? nil : network.name)])
            for host in network.hosts {
                element.addChild(XMLElement("host", [("name", host.name), ("port", host.port.map { String($0) })]))
            }
            return ("network", element)
        case .other(let text): throw .invalidVolume("\(text) cannot be a destination")
        }
    }

    private static func secretElement(_ secret: SecretReference) -> XMLElement {
        XMLElement("secret", [("type", secret.type), ("uuid", secret.uuid), ("usage", secret.uuid == nil ? secret.usage : nil)])
    }
}
