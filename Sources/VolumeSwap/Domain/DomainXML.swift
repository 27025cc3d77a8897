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
        try takeSource(into: stored, disk: disk, from: try DomainDocument(xml: liveXML))
        return stored.xml
    }

    /// Gives a disk of `stored` the source that it has in `live`. A disk that only the running domain has is not added.
    static func takeSource(into stored: DomainDocument, disk: String, from live: DomainDocument) throws(SwapFailure) {
        guard let target = stored.diskElement(disk) else { return }
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
    }

    private static func replaceSource(of disk: EditableElement, type: String, format: String, by elements: [EditableElement]) {
        disk.remove { ["source", "auth", "encryption", "backingStore", "mirror"].contains($0.name) }
        for element in elements { disk.add(element) }
        disk.set("type", type)
        if let driver = disk.first("driver") {
            driver.set("type", format)
            // libvirt accepts these for qcow2 alone.
            if format != "qcow2" {
                driver.remove { $0.name == "metadata_cache" }
                driver.set("discard_no_unref", nil)
            }
        } else {
            disk.add(EditableElement("driver", [("name", "qemu"), ("type", format)]))
        }
    }

    /// Whether a pivot leaves the disk a setting that libvirt refuses for its new source, so that the domain could not be started:
    /// `startupPolicy`, which a network volume's XML does not even show, and `discard_no_unref`. A definition with the new source drops both.
    ///
    /// - Parameters:
    ///   - savedXML: the stored configuration before the swap.
    ///   - storedXML: the present one.
    /// - Throws: ``SwapFailure`` if either string is not a domain's XML.
    static func keepsRefusedSetting(
        _ storedXML: String, disk: String, on location: VolumeLocation, savedXML: String
    ) throws(SwapFailure) -> Bool {
        let stored = try DomainDocument(xml: storedXML).diskElement(disk)?.first("driver")
        if stored?.value("discard_no_unref") != nil, stored?.value("type") != "qcow2" { return true }
        guard case .network = location else { return false }
        return try DomainDocument(xml: savedXML).diskElement(disk)?.first("source")?.value("startupPolicy") != nil
    }

    /// The metadata element that restores a live domain's definition if the journal is lost.
    ///
    /// Read-only connections can see it, so it leaves out the console passwords and the cookies of volumes, which the running domain
    /// still has.
    ///
    /// - Parameter liveDevices: what ``devices(_:)`` said of the running domain, if that is known.
    /// - Throws: ``SwapFailure`` if `definition` is not a domain's XML.
    package static func recoveryMetadata(
        task: TaskID, disk: String, definition: String, isAutostarted: Bool, liveDevices: [String]? = nil
    ) throws(SwapFailure) -> String {
        let stored = try DomainDocument(xml: definition)
        for console in stored.consoles {
            for password in passwords { console.set(password, nil) }
        }
        for disk in stored.diskElements { removeCookies(below: disk) }
        let devices = liveDevices.map { [EditableElement("devices", [], $0.map { text("device", $0) })] } ?? []
        let attributes = [("task", task.text), ("disk", disk), ("autostart", isAutostarted ? "yes" : nil)]
        return EditableElement("swap", attributes, [text("definition", stored.xml)] + devices).xml
    }

    /// The contents of ``recoveryMetadata(task:disk:definition:isAutostarted:liveDevices:)``.
    package struct RecoveryDefinition {
        package var task: TaskID
        package var disk: String
        /// The stored configuration, without console passwords and cookies.
        package var definition: String
        package var isAutostarted: Bool
        /// What ``devices(_:)`` said of the running domain; nil if it was not recorded.
        package var liveDevices: [String]?
    }

    /// Reads ``recoveryMetadata(task:disk:definition:isAutostarted:liveDevices:)``; nil for anything else.
    package static func recoveryDefinition(metadata: String) -> RecoveryDefinition? {
        guard
            let root = try? EditableElement.parse(metadata), let task = root.value("task"), let disk = root.value("disk"),
            let definition = root.children.first(where: { $0.localName == "definition" })?.text
        else { return nil }
        let devices = root.children.first { $0.localName == "devices" }?.children.map(\.text)
        return RecoveryDefinition(
            task: TaskID(task), disk: disk, definition: definition, isAutostarted: root.value("autostart") == "yes",
            liveDevices: devices)
    }

    private static let passwords = ["passwd", "passwdValidTo", "connected"]

    /// Of a disk's source, its mirror's and those of its backing chain.
    private static func removeCookies(below element: EditableElement) {
        element.remove { $0.name == "cookies" }
        for child in element.children { removeCookies(below: child) }
    }

    /// A definition from ``recoveryDefinition(metadata:)`` with the console passwords and cookies of the running domain.
    ///
    /// - Throws: ``SwapFailure`` if either string is not a domain's XML.
    package static func takingPasswords(_ definition: String, from liveXML: String) throws(SwapFailure) -> String {
        let (stored, live) = (try DomainDocument(xml: definition), try DomainDocument(xml: liveXML))
        for (console, origin) in zip(stored.consoles, live.consoles) where console.value("type") == origin.value("type") {
            for password in passwords {
                if let value = origin.value(password) { console.set(password, value) }
            }
        }
        for disk in stored.diskElements {
            guard let source = disk.first("source"), source.first("cookies") == nil,
                let target = disk.first("target")?.value("dev"), let origin = live.diskElement(target)?.first("source"),
                origin.value("name") == source.value("name"), let cookies = origin.first("cookies")
            else { continue }
            source.add(cookies.copy())
        }
        return stored.xml
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
