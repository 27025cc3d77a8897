import FoundationXML

extension DomainDescription {
    /// Reads what libvirt's `virDomainGetXMLDesc` gave.
    ///
    /// - Throws: ``SwapFailure`` of kind `volumeRebaseFailed` when it is not a domain's XML.
    package init(xml: String) throws(SwapFailure) {
        let document = try DomainDocument(xml: xml)
        self.init(
            uuid: document.root.first("uuid")?.stringValue?.lowercased() ?? "",
            name: document.root.first("name")?.stringValue ?? "",
            disks: document.diskElements.compactMap(DiskDescription.init(element:)),
            hasTPM: document.root.first("devices")?.first("tpm")?.first("backend")?.value("type") == "emulator")
    }
}

extension DiskDescription {
    /// What differs between a disk before and after a swap, or between its live and its stored form, and may.
    private static let sourceElements: Set = ["source", "mirror", "backingStore", "auth", "encryption"]

    init?(element: XMLElement) {
        guard let target = element.first("target")?.value("dev") else { return nil }
        self.target = target
        device = element.value("device") ?? "disk"
        let source = element.first("source")
        location = source.flatMap { VolumeLocation(type: element.value("type") ?? "", source: $0) }
        format = element.first("driver")?.value("type")
        isEncrypted = source?.first("encryption") != nil || element.first("encryption") != nil
        hasSlices = source?.first("slices") != nil
        isShareable = element.first("shareable") != nil
        serial = element.first("serial")?.stringValue
        mirror = element.first("mirror").flatMap(Mirror.init(element:))
        secretUUIDs = [source?.first("auth"), element.first("auth"), source?.first("encryption"), element.first("encryption")]
            .compactMap { $0?.first("secret")?.value("uuid")?.lowercased() }
        keptElements = Self.keptElements(of: element)
    }

    private static func keptElements(of element: XMLElement) -> [String] {
        let kept = (element.children ?? []).compactMap { $0 as? XMLElement }.filter { child in
            // An alias that libvirt made up belongs to the live domain alone.
            !sourceElements.contains(child.name ?? "")
                && !(child.name == "alias" && child.value("name")?.hasPrefix("ua-") != true)
        }
        return kept.map { child in
            guard child.name == "driver", let copy = child.detachedCopy() else { return child.canonicalText }
            copy.removeAttribute(forName: "type")
            return copy.canonicalText
        }.sorted()
    }
}

extension DiskDescription.Mirror {
    init?(element: XMLElement) {
        guard let source = element.first("source"),
            let location = VolumeLocation(type: element.value("type") ?? "file", source: source)
        else { return nil }
        self.init(
            job: element.value("job") ?? "copy", ready: element.value("ready"), location: location,
            format: element.first("format")?.value("type"))
    }
}

extension VolumeLocation {
    init?(type: String, source: XMLElement) {
        switch type {
        case "file":
            guard let path = source.value("file") else { return nil }
            self = .file(path)
        case "block":
            guard let path = source.value("dev") else { return nil }
            self = .block(path)
        case "network":
            let hosts = source.elements(forName: "host").compactMap { host in
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
