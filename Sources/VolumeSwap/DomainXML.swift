import FoundationXML

/// The few edits pivotd makes to XML, each from text to text through a tree.
package enum DomainXML {
    /// `<disk>` for `virDomainBlockCopy`: the destination, its format named.
    ///
    /// - Parameter sliceBytes: shows QEMU only the first bytes of a larger volume, as it copies between equal sizes alone.
    package static func destination(_ source: VolumeSource, sliceBytes: Int64? = nil) throws(SwapFailure) -> String {
        let (type, element) = try sourceElement(source)
        if let sliceBytes {
            let slice = XMLElement("slice", [("type", "storage"), ("offset", "0"), ("size", String(sliceBytes))])
            element.addChild(XMLElement("slices", [], [slice]))
        }
        let driver = XMLElement("driver", [("name", "qemu"), ("type", source.format)])
        let disk = XMLElement("disk", [("type", type), ("device", "disk")], [driver, element])
        return disk.xmlString
    }

    /// A stored configuration whose disk has another source; all else is untouched.
    package static func settingSource(_ storedXML: String, disk: String, to source: VolumeSource) throws(SwapFailure) -> String {
        let stored = try DomainDocument(xml: storedXML)
        guard let target = stored.diskElement(disk) else {
            throw .rebaseFailed("disk \(disk) is missing from the domain's stored configuration")
        }
        let (type, element) = try sourceElement(source)
        replaceSource(of: target, type: type, format: source.format, by: [element])
        return stored.xml
    }

    /// A stored configuration whose disk has the source that the running domain shows, slices left out.
    package static func takingSource(_ storedXML: String, disk: String, from liveXML: String) throws(SwapFailure) -> String {
        let stored = try DomainDocument(xml: storedXML)
        let live = try DomainDocument(xml: liveXML)
        guard let target = stored.diskElement(disk), let origin = live.diskElement(disk) else {
            throw .rebaseFailed("disk \(disk) is missing from the domain's configuration")
        }
        let elements = ["source", "auth", "encryption"].compactMap { origin.first($0)?.detachedCopy() }
        for element in elements {
            element.removeChildren(named: ["slices", "privateData"])
            element.removeAttribute(forName: "index")
        }
        replaceSource(
            of: target, type: origin.value("type") ?? "file", format: origin.first("driver")?.value("type") ?? "raw", by: elements
        )
        return stored.xml
    }

    private static func replaceSource(of disk: XMLElement, type: String, format: String, by elements: [XMLElement]) {
        disk.removeChildren(named: ["source", "auth", "encryption", "backingStore", "mirror"])
        for element in elements { disk.addChild(element) }
        disk.set("type", type)
        if let driver = disk.first("driver") {
            driver.set("type", format)
        } else {
            disk.addChild(XMLElement("driver", [("name", "qemu"), ("type", format)]))
        }
    }

    /// The element on a live domain that restores its definition when the journal is gone.
    package static func recoveryMetadata(task: TaskID, disk: String, definition: String) -> String {
        let text = XMLElement("definition")
        text.stringValue = definition
        return XMLElement("swap", [("task", task.text), ("disk", disk)], [text]).xmlString
    }

    /// The definition inside ``recoveryMetadata(task:disk:definition:)``.
    package static func recoveryDefinition(metadata: String) -> (task: TaskID, disk: String, definition: String)? {
        guard !metadata.isEmpty else { return nil }
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

    private static func sourceElement(_ source: VolumeSource) throws(SwapFailure) -> (type: String, XMLElement) {
        let (type, element) = try locationElement(source.location)
        if let auth = source.auth {
            element.addChild(XMLElement("auth", [("username", auth.username)], [secretElement(auth.secret)]))
        }
        if let secret = source.encryption {
            element.addChild(XMLElement("encryption", [("format", "luks")], [secretElement(secret)]))
        }
        return (type, element)
    }

    private static func locationElement(_ location: VolumeLocation) throws(SwapFailure) -> (type: String, XMLElement) {
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
