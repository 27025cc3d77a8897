@testable import VolumeSwap

/// A domain in its three versions: what QEMU runs, what libvirt believes to run, and what libvirt has stored.
final class SimDomain: @unchecked Sendable {
    let number: Int
    let identity: DomainIdentity
    /// nil while it is not active.
    var live: SimConfiguration?
    /// nil for a transient domain.
    var stored: SimConfiguration?
    var qemu: SimQEMU?
    /// How often its guest was started since the beginning.
    var starts = 0
    /// pivotd's element on the live domain.
    var metadata: String?
    /// What each disk's sectors should hold according to the guest, whatever it runs on.
    var written: [String: [UInt32]] = [:]
    /// Calls waiting for the domain's job lock; the first one holds it.
    var calls: [SimCall] = []
    /// Until when someone else's call holds the job lock.
    var lockedUntil: SimLoop.Time = 0
    /// Whether libvirt starts it with the host; undefining forgets that.
    var isAutostarted = false
    var startedAutostarted = false
    /// Whether the swaps of its disks are held, to be pivoted as a group.
    var holdsSwaps = false
    /// Why libvirt currently refuses to define it.
    var defineTrouble: String?

    /// Destinations of other people's copies.
    var othersVolumes: [SimVolume] = []
    var history = History()
    let startedPersistent: Bool

    init(number: Int, configuration: SimConfiguration, isPersistent: Bool) {
        self.number = number
        identity = DomainIdentity(uuid: "00000000-0000-4000-8000-00000000000\(number)", name: "vm-\(number)")
        startedPersistent = isPersistent
        live = configuration
        stored = isPersistent ? configuration : nil
    }

    /// What happened to it, for the checks.
    struct History {
        /// pivotd has undefined it and must define it again.
        var isTaken = false
        /// The life in which it last defined it again; a later life cannot know.
        var givenBackIn: Connection?

        struct Connection: Equatable {
            var life: Int?
            var epoch: Int
        }
        /// Whether somebody else has paused its guest, which pivotd could know.
        var isPausedByPeople = false
        /// When someone other than pivotd undefined it.
        var removedAt: SimLoop.Time?
        /// What someone else last wrote into it.
        var note: (text: String, at: SimLoop.Time)?
        /// When pivotd last queried the domain's state, and last read its definition.
        var lookedAt: SimLoop.Time = 0
        var readAt: SimLoop.Time = 0
        /// When the guest was last started manually.
        var startedAt: SimLoop.Time = 0
    }

    var name: String { identity.name }
    var isKnown: Bool { live != nil || stored != nil }

    func configuration(_ view: XMLView) -> SimConfiguration? { view == .live ? live ?? stored : stored ?? live?.asInactive }
}

/// A domain's configuration as libvirt keeps it.
struct SimConfiguration {
    struct Disk {
        struct Mirror {
            var location: VolumeLocation
            var format: String
            /// `yes`, `pivot`, `abort`
            var ready: String?
        }

        var target: String
        var location: VolumeLocation
        var format: String
        var serial: String
        var secret: String?
        var hasSlice = false
        var mirror: Mirror?
    }

    var disks: [Disk]
    /// `<description>`, which shows who wrote it last.
    var note: String

    subscript(target: String) -> Disk? {
        get { disks.first { $0.target == target } }
        set {
            guard let index = disks.firstIndex(where: { $0.target == target }), let newValue else { return }
            disks[index] = newValue
        }
    }

    /// The configuration without the parts that only a running domain shows.
    var asInactive: SimConfiguration {
        var copy = self
        for index in copy.disks.indices { copy.disks[index].mirror = nil }
        return copy
    }

    /// The XML as libvirt would show it.
    func tree(_ identity: DomainIdentity) -> XMLTree {
        XMLTree(
            "domain", ["type": "qemu"],
            [
                XMLTree("name", text: identity.name), XMLTree("uuid", text: identity.uuid), XMLTree("description", text: note),
                XMLTree("devices", [:], disks.map(\.tree)),
            ])
    }

    func description(_ identity: DomainIdentity, isLive: Bool) -> DomainDescription {
        DomainDescription(
            uuid: identity.uuid, name: identity.name,
            disks: disks.compactMap { DiskFacts(element: $0.tree).map { DiskDescription($0) } }, hasTPM: false, isLive: isLive)
    }
}

extension SimConfiguration {
    /// Parses the XML to define.
    init?(defining tree: XMLTree) {
        guard let devices = tree.first("devices") else { return nil }
        note = tree.first("description")?.text ?? ""
        disks = devices.all("disk").compactMap { element in
            guard let facts = DiskFacts(element: element), let location = facts.location else { return nil }
            return Disk(
                target: facts.target, location: location, format: facts.format ?? "raw", serial: facts.serial ?? "",
                secret: facts.secretUUIDs.first, hasSlice: facts.hasSlices)
        }
    }
}

extension SimConfiguration.Disk {
    var tree: XMLTree {
        let (type, source) = Self.source(location, secret, hasSlice)
        var children = [
            XMLTree("driver", ["name": "qemu", "type": format, "cache": "none"]), source,
            XMLTree("target", ["dev": target, "bus": "virtio"]), XMLTree("serial", text: serial),
        ]
        if let mirror {
            let (type, source) = Self.source(mirror.location, nil, false)
            var attributes = ["type": type, "job": "copy"]
            attributes["ready"] = mirror.ready
            children.append(XMLTree("mirror", attributes, [XMLTree("format", ["type": mirror.format]), source]))
        }
        return XMLTree("disk", ["type": type, "device": "disk"], children)
    }

    private static func source(_ location: VolumeLocation, _ secret: String?, _ hasSlice: Bool) -> (type: String, XMLTree) {
        var children: [XMLTree] = []
        if let secret {
            children.append(XMLTree("auth", ["username": "chap"], [XMLTree("secret", ["type": "iscsi", "uuid": secret])]))
        }
        if hasSlice { children.append(XMLTree("slices", [:], [XMLTree("slice", ["type": "storage", "offset": "0"])])) }
        switch location {
        case .file(let path): return ("file", XMLTree("source", ["file": path], children))
        case .block(let path): return ("block", XMLTree("source", ["dev": path], children))
        case .network(let network):
            for host in network.hosts {
                var attributes = ["name": host.name]
                attributes["port"] = host.port.map { String($0) }
                children.append(XMLTree("host", attributes))
            }
            return ("network", XMLTree("source", ["protocol": network.transport, "name": network.name], children))
        case .other(let text): return ("dir", XMLTree("source", ["dir": text], children))
        }
    }
}
