import VolumeSwap

/// Domain XML as libvirt would show it, limited to what a swap reads.
enum DryRunXML {
    static func domain(_ domain: DryRunDomain, disks: [DryRunDisk], at now: ContinuousClock.Instant) -> String {
        let devices = XMLTree("devices", [:], disks.map { disk($0.facts, at: now) })
        let name = XMLTree("name", text: domain.identity.name)
        let uuid = XMLTree("uuid", text: domain.identity.uuid)
        return XMLTree("domain", ["type": "kvm"], [name, uuid, devices]).xml
    }

    private static func disk(_ disk: DryRunDiskFacts, at now: ContinuousClock.Instant) -> XMLTree {
        let (type, source) = source(disk.source)
        var children = [
            XMLTree("driver", ["name": "qemu", "type": disk.source.format]), source,
            XMLTree("target", ["dev": disk.target, "bus": "virtio"]),
        ]
        if let serial = disk.serial { children.append(XMLTree("serial", text: serial)) }
        if let copy = disk.copy {
            let (type, source) = self.source(copy.destination)
            var mirror = XMLTree(
                "mirror", ["type": type, "job": "copy"], [XMLTree("format", ["type": copy.destination.format]), source])
            mirror.attributes["ready"] = copy.shownReady(at: now)
            children.append(mirror)
        }
        return XMLTree("disk", ["type": type, "device": "disk"], children)
    }

    private static func source(_ volume: VolumeSource) -> (type: String, XMLTree) {
        var (type, source) = place(volume.location)
        if let auth = volume.auth {
            source.children.append(XMLTree("auth", ["username": auth.username], [secret(auth.secret)]))
        }
        if let encryption = volume.encryption {
            source.children.append(XMLTree("encryption", ["format": "luks"], [secret(encryption)]))
        }
        return (type, source)
    }

    private static func place(_ location: VolumeLocation) -> (type: String, XMLTree) {
        switch location {
        case .file(let path): return ("file", XMLTree("source", ["file": path]))
        case .block(let path): return ("block", XMLTree("source", ["dev": path]))
        case .network(let network):
            let hosts = network.hosts.map { host in
                var element = XMLTree("host", ["name": host.name])
                element.attributes["port"] = host.port.map { String($0) }
                return element
            }
            return ("network", XMLTree("source", ["protocol": network.transport, "name": network.name], hosts))
        case .other(let text): return ("volume", XMLTree("source", ["pool": text]))
        }
    }

    private static func secret(_ secret: SecretReference) -> XMLTree {
        var element = XMLTree("secret", ["type": secret.type])
        element.attributes["uuid"] = secret.uuid
        element.attributes["usage"] = secret.usage
        return element
    }
}
