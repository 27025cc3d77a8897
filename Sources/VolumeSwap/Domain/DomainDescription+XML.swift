extension DomainDescription {
    /// Reads what libvirt's `virDomainGetXMLDesc` gave.
    ///
    /// - Throws: ``SwapFailure`` of kind `volumeRebaseFailed` when it is not a domain's XML.
    package init(xml: String) throws(SwapFailure) {
        let root: XMLTree
        do {
            root = try XMLTree(parsing: xml)
        } catch {
            throw .rebaseFailed("the domain's XML could not be read: \(error.reason)")
        }
        guard root.name == "domain" else { throw .rebaseFailed("the domain's XML has no <domain> element") }
        let devices = root.first("devices")
        self.init(
            uuid: root.first("uuid")?.text.lowercased() ?? "", name: root.first("name")?.text ?? "",
            disks: devices?.all("disk").compactMap { DiskFacts(element: $0).map { DiskDescription($0) } } ?? [],
            hasTPM: devices?.first("tpm")?.first("backend")?.value("type") == "emulator")
    }
}

extension DiskFacts {
    /// What differs between a disk before and after a swap, or between its live and its stored form, and may.
    private static let sourceElements: Set = ["source", "mirror", "backingStore", "auth", "encryption"]

    init?(element: XMLTree) {
        guard let target = element.first("target")?.value("dev") else { return nil }
        self.target = target
        device = element.value("device") ?? "disk"
        let source = element.first("source")
        location = source.flatMap { VolumeLocation(type: element.value("type") ?? "", source: $0) }
        format = element.first("driver")?.value("type")
        let encryption = source?.first("encryption") ?? element.first("encryption")
        isEncrypted = encryption != nil
        passphrase = encryption.flatMap(SecretReference.init(encryption:))
        backing = Self.backing(of: element)
        hasSlices = source?.first("slices") != nil
        isShareable = element.first("shareable") != nil
        isReadOnly = element.first("readonly") != nil
        discard = element.first("driver")?.value("discard")
        serial = element.first("serial")?.text
        mirror = element.first("mirror").flatMap(Mirror.init(element:))
        secretUUIDs = [source?.first("auth"), element.first("auth"), source?.first("encryption"), element.first("encryption")]
            .compactMap { $0?.first("secret")?.value("uuid")?.lowercased() }
        droppedElements =
            ["reservations", "seclabel"].filter { source?.first($0) != nil }
            + (source?.value("startupPolicy") == nil ? [] : ["startupPolicy"])
        keptElements = Self.keptElements(of: element)
    }

    private static func backing(of disk: XMLTree) -> [VolumeLocation] {
        var found: [VolumeLocation] = []
        var store = disk.first("backingStore")
        while let below = store {
            if let source = below.first("source"), let place = VolumeLocation(type: below.value("type") ?? "", source: source) {
                found.append(place)
            }
            store = below.first("backingStore")
        }
        return found
    }

    private static func keptElements(of element: XMLTree) -> [String] {
        let kept = element.children.filter { child in
            // An alias that libvirt made up belongs to the live domain alone.
            !sourceElements.contains(child.name)
                && !(child.name == "alias" && child.value("name")?.hasPrefix("ua-") != true)
        }
        return kept.map { child in
            var child = child
            if child.name == "driver" { child.attributes["type"] = nil }
            return child.canonicalText
        }.sorted()
    }
}

extension DiskFacts.Mirror {
    init?(element: XMLTree) {
        guard let source = element.first("source"),
            let location = VolumeLocation(type: element.value("type") ?? "file", source: source)
        else { return nil }
        self.init(
            job: element.value("job") ?? "copy", ready: element.value("ready"), location: location,
            format: element.first("format")?.value("type"))
        if let encryption = source.first("encryption") {
            isEncrypted = true
            passphrase = SecretReference(encryption: encryption)
        }
    }
}

extension VolumeLocation {
    init?(type: String, source: XMLTree) {
        switch type {
        case "file":
            guard let path = source.value("file") else { return nil }
            self = .file(path)
        case "block":
            guard let path = source.value("dev") else { return nil }
            self = .block(path)
        case "network":
            let hosts = source.all("host").compactMap { host in
                (host.value("name") ?? host.value("socket")).map {
                    NetworkLocation.Host(name: $0, port: host.value("port").flatMap { Int($0) })
                }
            }
            self = .network(
                NetworkLocation(transport: source.value("protocol") ?? "", name: source.value("name") ?? "", hosts: hosts))
        default:
            self = .other("\(type) source \(source.value("pool") ?? source.value("dir") ?? "")")
        }
    }
}

extension SecretReference {
    fileprivate init?(encryption: XMLTree) {
        guard let secret = encryption.first("secret") else { return nil }
        self.init(
            type: secret.value("type") ?? "passphrase", uuid: secret.value("uuid")?.lowercased(), usage: secret.value("usage"))
    }
}
