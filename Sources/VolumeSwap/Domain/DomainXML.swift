import FoundationXML

/// The few edits that pivotd makes to XML, each from string to string through a tree.
package enum DomainXML {
    /// The `<disk>` for `virDomainBlockCopy`: the destination with its format.
    ///
    /// - Parameter sliceBytes: shows QEMU only the first bytes of a larger volume, since it copies only between equal sizes.
    /// - Throws: ``SwapFailure`` of kind `invalidVolume` for a location that cannot be a destination.
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

    /// A stored configuration whose disk has a new source; everything else is unchanged.
    ///
    /// - Throws: ``SwapFailure`` if the XML is not a domain's or lacks the disk.
    package static func settingSource(_ storedXML: String, disk: String, to source: VolumeSource) throws(SwapFailure) -> String {
        let stored = try DomainDocument(xml: storedXML)
        guard let target = stored.diskElement(disk) else {
            throw .rebaseFailed("disk \(disk) is missing from the domain's stored configuration")
        }
        let (type, element) = try sourceElement(source)
        replaceSource(of: target, type: type, format: source.format, by: [element])
        return stored.xml
    }

    /// A stored configuration whose disk has the source that the running domain shows, without slices.
    ///
    /// - Throws: ``SwapFailure`` if the XML is not a domain's, or the running domain lacks the disk.
    package static func takingSource(_ storedXML: String, disk: String, from liveXML: String) throws(SwapFailure) -> String {
        let stored = try DomainDocument(xml: storedXML)
        let live = try DomainDocument(xml: liveXML)
        // A disk that only the running domain has is not in the stored configuration.
        guard let target = stored.diskElement(disk) else { return stored.xml }
        guard let origin = live.diskElement(disk) else {
            throw .rebaseFailed("disk \(disk) is missing from the running domain", .configurationFailed)
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

    /// The metadata element that restores a live domain's definition if the journal is lost.
    ///
    /// Read-only connections can see it, so it leaves out the console passwords, which the running domain still has.
    ///
    /// - Throws: ``SwapFailure`` if `definition` is not a domain's XML.
    package static func recoveryMetadata(
        task: TaskID, disk: String, definition: String, isAutostarted: Bool
    ) throws(SwapFailure) -> String {
        let stored = try DomainDocument(xml: definition)
        for console in stored.consoles {
            for password in passwords { console.removeAttribute(forName: password) }
        }
        let text = XMLElement("definition")
        text.stringValue = stored.xml
        let attributes = [("task", task.text), ("disk", disk), ("autostart", isAutostarted ? "yes" : nil)]
        return XMLElement("swap", attributes, [text]).xmlString
    }

    /// The contents of ``recoveryMetadata(task:disk:definition:isAutostarted:)``.
    package struct RecoveryDefinition {
        package var task: TaskID
        package var disk: String
        /// The stored configuration, without console passwords.
        package var definition: String
        package var isAutostarted: Bool
    }

    /// Reads ``recoveryMetadata(task:disk:definition:isAutostarted:)``; nil for anything else.
    package static func recoveryDefinition(metadata: String) -> RecoveryDefinition? {
        guard !metadata.isEmpty else { return nil }
        guard
            let document = try? XMLDocument(
                xmlString: metadata, options: [.nodeLoadExternalEntitiesNever, .nodePreserveWhitespace]),
            let root = document.rootElement(), let task = root.value("task"), let disk = root.value("disk"),
            let definition = root.elements(forName: "definition").first?.stringValue
                ?? root.children?.compactMap({ $0 as? XMLElement }).first(where: { $0.localName == "definition" })?.stringValue
        else { return nil }
        return RecoveryDefinition(
            task: TaskID(task), disk: disk, definition: definition, isAutostarted: root.value("autostart") == "yes")
    }

    private static let passwords = ["passwd", "passwdValidTo", "connected"]

    /// A definition from ``recoveryDefinition(metadata:)`` with the console passwords of the running domain.
    ///
    /// - Throws: ``SwapFailure`` if either string is not a domain's XML.
    package static func takingPasswords(_ definition: String, from liveXML: String) throws(SwapFailure) -> String {
        let stored = try DomainDocument(xml: definition)
        let live = try DomainDocument(xml: liveXML).consoles
        for (console, origin) in zip(stored.consoles, live) where console.value("type") == origin.value("type") {
            for password in passwords {
                if let value = origin.value(password) { console.set(password, value) }
            }
        }
        return stored.xml
    }

    /// The names of a running domain's disks and interfaces, and the disks' places, with which
    /// ``takingDevices(_:known:of:from:)`` detects changes.
    ///
    /// - Throws: ``SwapFailure`` if the string is not a domain's XML.
    package static func devices(_ liveXML: String) throws(SwapFailure) -> [String] {
        try DomainDocument(xml: liveXML).deviceElements.map(\.name) + places(liveXML).map { place($0, $1) }
    }

    private static func places(_ liveXML: String) throws(SwapFailure) -> [(disk: String, location: String)] {
        try DomainDescription(xml: liveXML).disks.compactMap { disk in disk.location.map { (disk.target, $0.description) } }
    }

    private static func place(_ disk: String, _ location: String) -> String { "place of \(disk) \(location)" }

    /// A saved definition updated with what happened to the running domain since `known` was recorded: devices plugged,
    /// unplugged, and disks moved. Without a definition libvirt changed only the running domain.
    ///
    /// - Parameter swapped: the swap's own disk, which is ignored.
    /// - Throws: ``SwapFailure`` if either string is not a domain's XML.
    package static func takingDevices(
        _ savedXML: String, known: [String], of swapped: String, from liveXML: String
    ) throws(SwapFailure) -> String {
        let stored = try DomainDocument(xml: savedXML)
        let live = try DomainDocument(xml: liveXML).deviceElements
        let present = Set(live.map(\.name))
        for (name, element) in stored.deviceElements where known.contains(name) && !present.contains(name) { element.detach() }
        let saved = Set(stored.deviceElements.map(\.name))
        for (name, element) in live where !known.contains(name) && !saved.contains(name) {
            guard let copy = element.detachedCopy() else { continue }
            copy.removeChildren(named: ["alias", "backingStore", "mirror", "privateData"])
            copy.first("source")?.removeAttribute(forName: "index")
            stored.root.first("devices")?.addChild(copy)
        }
        var xml = stored.xml
        for (disk, location) in try places(liveXML) where disk != swapped && saved.contains("disk \(disk)") {
            let wasPlaced = known.contains { $0.hasPrefix(place(disk, "")) }
            guard wasPlaced, !known.contains(place(disk, location)) else { continue }
            xml = try takingSource(xml, disk: disk, from: liveXML)
        }
        return xml
    }

    /// The `<secret>` to define: private, persistent, with the usage that the source refers to.
    package static func secret(uuid: String, usageType: SecretUsage, usage: String, description: String) -> String {
        let usageElement = XMLElement("usage", [("type", usageType.rawValue)], [text(usageType.element, usage)])
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
            // Without the engine, libvirt 11 leaves out LUKS for a block copy's destination and would write plain text over the
            // header if the sizes happened to be equal; older versions ignore the attribute.
            element.addChild(XMLElement("encryption", [("format", "luks"), ("engine", "qemu")], [secretElement(secret)]))
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
