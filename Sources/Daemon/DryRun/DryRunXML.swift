import FoundationXML
import VolumeSwap

/// Domain XML as libvirt would show it, as far as a swap looks at it.
enum DryRunXML {
    static func domain(_ domain: DryRunDomain, disks: [DryRunDisk], at now: ContinuousClock.Instant) -> String {
        let devices = element("devices", [], disks.map { disk($0, at: now) })
        let root = element(
            "domain", [("type", "kvm")], [text("name", domain.identity.name), text("uuid", domain.identity.uuid), devices])
        return root.xmlString(options: [.nodeCompactEmptyElement])
    }

    private static func disk(_ disk: DryRunDisk, at now: ContinuousClock.Instant) -> XMLElement {
        let (type, source) = source(disk.source)
        var children = [
            element("driver", [("name", "qemu"), ("type", disk.source.format)]), source,
            element("target", [("dev", disk.target), ("bus", "virtio")]),
        ]
        if let serial = disk.serial { children.append(text("serial", serial)) }
        if let copy = disk.copy {
            let (type, source) = self.source(copy.destination)
            let ready: (String, String?) = ("ready", copy.isReady(at: now) ? "yes" : nil)
            let format = element("format", [("type", copy.destination.format)])
            children.append(element("mirror", [("type", type), ("job", "copy"), ready], [format, source]))
        }
        return element("disk", [("type", type), ("device", "disk")], children)
    }

    private static func source(_ volume: VolumeSource) -> (type: String, XMLElement) {
        let (type, source) = place(volume.location)
        if let auth = volume.auth {
            source.addChild(element("auth", [("username", auth.username)], [secret(auth.secret)]))
        }
        if let encryption = volume.encryption {
            source.addChild(element("encryption", [("format", "luks")], [secret(encryption)]))
        }
        return (type, source)
    }

    private static func place(_ location: VolumeLocation) -> (type: String, XMLElement) {
        switch location {
        case .file(let path): return ("file", element("source", [("file", path)]))
        case .block(let path): return ("block", element("source", [("dev", path)]))
        case .network(let network):
            let hosts = network.hosts.map { element("host", [("name", $0.name), ("port", $0.port.map { String($0) })]) }
            return ("network", element("source", [("protocol", network.transport), ("name", network.name)], hosts))
        case .other(let text): return ("volume", element("source", [("pool", text)]))
        }
    }

    private static func secret(_ secret: SecretReference) -> XMLElement {
        element("secret", [("type", secret.type), ("uuid", secret.uuid), ("usage", secret.usage)])
    }

    private static func element(_ name: String, _ attributes: [(String, String?)], _ children: [XMLElement] = []) -> XMLElement {
        let element = XMLElement(name: name)
        for case (let key, let value?) in attributes {
            let attribute = XMLNode(kind: .attribute)
            attribute.name = key
            attribute.stringValue = value
            element.addAttribute(attribute)
        }
        for child in children { element.addChild(child) }
        return element
    }

    private static func text(_ name: String, _ value: String) -> XMLElement {
        let element = XMLElement(name: name)
        element.stringValue = value
        return element
    }
}

extension DryRunXML {
    /// The volume that the XML of a block copy names.
    ///
    /// - Throws: ``HypervisorError`` as libvirt does for XML that it cannot read.
    static func destination(_ xml: String) throws(HypervisorError) -> VolumeSource {
        guard let document = try? XMLDocument(xmlString: xml, options: [.nodeLoadExternalEntitiesNever]),
            let disk = document.rootElement(), disk.name == "disk",
            let source = disk.elements(forName: "source").first
        else { throw HypervisorError(.other, number: 27, "XML error: the destination cannot be read") }
        let format = disk.elements(forName: "driver").first?.attribute(forName: "type")?.stringValue ?? "raw"
        return VolumeSource(
            location: location(type: disk.attribute(forName: "type")?.stringValue ?? "file", source), format: format,
            auth: auth(source), encryption: source.elements(forName: "encryption").first.flatMap(reference))
    }

    private static func location(type: String, _ source: XMLElement) -> VolumeLocation {
        func value(_ key: String) -> String { source.attribute(forName: key)?.stringValue ?? "" }
        switch type {
        case "file": return .file(value("file"))
        case "block": return .block(value("dev"))
        case "network":
            let hosts = source.elements(forName: "host").map { host in
                NetworkLocation.Host(
                    name: host.attribute(forName: "name")?.stringValue ?? "",
                    port: host.attribute(forName: "port")?.stringValue.flatMap { Int($0) })
            }
            return .network(NetworkLocation(transport: value("protocol"), name: value("name"), hosts: hosts))
        default: return .other(type)
        }
    }

    private static func auth(_ source: XMLElement) -> VolumeSource.Auth? {
        guard let auth = source.elements(forName: "auth").first, let secret = reference(auth) else { return nil }
        return VolumeSource.Auth(username: auth.attribute(forName: "username")?.stringValue ?? "", secret: secret)
    }

    private static func reference(_ owner: XMLElement) -> SecretReference? {
        guard let secret = owner.elements(forName: "secret").first else { return nil }
        func value(_ key: String) -> String? { secret.attribute(forName: key)?.stringValue }
        return SecretReference(type: value("type") ?? "", uuid: value("uuid"), usage: value("usage"))
    }
}
