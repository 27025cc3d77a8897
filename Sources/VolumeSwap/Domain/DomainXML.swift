/// The few edits that pivotd makes to XML, each from string to string through a tree.
package enum DomainXML {
    /// The `<disk>` for `virDomainBlockCopy`: the destination with its format.
    ///
    /// - Parameter sliceBytes: shows QEMU only the first bytes of a larger volume, since it copies only between equal sizes.
    /// - Throws: ``SwapFailure`` of kind `invalidVolume` for a location that cannot be a destination.
    package static func destination(_ source: VolumeSource, sliceBytes: Int64? = nil) throws(SwapFailure) -> String {
        let (type, element) = try sourceElement(source)
        if let sliceBytes {
            let slice = EditableElement("slice", [("type", "storage"), ("offset", "0"), ("size", String(sliceBytes))])
            element.add(EditableElement("slices", [], [slice]))
        }
        let driver = EditableElement("driver", [("name", "qemu"), ("type", source.format)])
        let disk = EditableElement("disk", [("type", type), ("device", "disk")], [driver, element])
        return disk.xml
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
        let elements = ["source", "auth", "encryption"].compactMap { origin.first($0)?.copy() }
        for element in elements {
            element.remove { ["slices", "privateData"].contains($0.name) }
            element.set("index", nil)
        }
        replaceSource(
            of: target, type: origin.value("type") ?? "file", format: origin.first("driver")?.value("type") ?? "raw", by: elements
        )
        return stored.xml
    }

    private static func replaceSource(of disk: EditableElement, type: String, format: String, by elements: [EditableElement]) {
        disk.remove { ["source", "auth", "encryption", "backingStore", "mirror"].contains($0.name) }
        for element in elements { disk.add(element) }
        disk.set("type", type)
        if let driver = disk.first("driver") {
            driver.set("type", format)
        } else {
            disk.add(EditableElement("driver", [("name", "qemu"), ("type", format)]))
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
            for password in passwords { console.set(password, nil) }
        }
        let text = EditableElement("definition")
        text.text = stored.xml
        let attributes = [("task", task.text), ("disk", disk), ("autostart", isAutostarted ? "yes" : nil)]
        return EditableElement("swap", attributes, [text]).xml
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
        guard
            let root = try? EditableElement.parse(metadata), let task = root.value("task"), let disk = root.value("disk"),
            let definition = root.children.first(where: { $0.localName == "definition" })?.text
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
        for (name, element) in stored.deviceElements where known.contains(name) && !present.contains(name) {
            stored.devices?.remove { $0 === element }
        }
        let saved = Set(stored.deviceElements.map(\.name))
        for (name, element) in live where !known.contains(name) && !saved.contains(name) {
            let copy = element.copy()
            copy.remove { ["alias", "backingStore", "mirror", "privateData"].contains($0.name) }
            copy.first("source")?.set("index", nil)
            stored.devices?.add(copy)
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
        let usageElement = EditableElement("usage", [("type", usageType.rawValue)], [text(usageType.element, usage)])
        let children = [text("uuid", uuid), text("description", description), usageElement]
        return EditableElement("secret", [("ephemeral", "no"), ("private", "yes")], children).xml
    }

    private static func text(_ name: String, _ value: String) -> EditableElement {
        let element = EditableElement(name)
        element.text = value
        return element
    }

    private static func sourceElement(_ source: VolumeSource) throws(SwapFailure) -> (type: String, EditableElement) {
        let (type, element) = try locationElement(source.location)
        if let auth = source.auth {
            element.add(EditableElement("auth", [("username", auth.username)], [secretElement(auth.secret)]))
        }
        if let secret = source.encryption {
            // Without the engine, libvirt 11 leaves out LUKS for a block copy's destination and would write plain text over the
            // header if the sizes happened to be equal; older versions ignore the attribute.
            element.add(EditableElement("encryption", [("format", "luks"), ("engine", "qemu")], [secretElement(secret)]))
        }
        return (type, element)
    }

    private static func locationElement(_ location: VolumeLocation) throws(SwapFailure) -> (type: String, EditableElement) {
        switch location {
        case .file(let path): return ("file", EditableElement("source", [("file", path)]))
        case .block(let path): return ("block", EditableElement("source", [("dev", path)]))
        case .network(let network):
            let element = EditableElement(
                "source", [("protocol", network.transport), ("name", network.name.isEmpty ? nil : network.name)])
            for host in network.hosts {
                element.add(EditableElement("host", [("name", host.name), ("port", host.port.map { String($0) })]))
            }
            return ("network", element)
        case .other(let text): throw .invalidVolume("\(text) cannot be a destination")
        }
    }

    private static func secretElement(_ secret: SecretReference) -> EditableElement {
        EditableElement(
            "secret", [("type", secret.type), ("uuid", secret.uuid), ("usage", secret.uuid == nil ? secret.usage : nil)])
    }
}
