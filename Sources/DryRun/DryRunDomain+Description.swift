import VolumeSwap

extension DryRunDomain {
    /// A disk with a copy, parsed once from XML; all other descriptions are derived from it.
    private static let pattern: DiskFacts? = {
        let source = VolumeSource(location: .file("/"), format: "raw")
        let copy = DryRunCopy(destination: source, destinationBytes: 1, bytes: 1, isBlockCopy: true, since: .now, number: 0)
        let disk = DryRunDisk(DryRunDiskFacts(target: "vda", source: source, bytes: 1, copy: copy))
        let domain = DryRunDomain(identity: DomainIdentity(uuid: "", name: ""), disks: [disk])
        return try? DomainDescription(xml: DryRunXML.domain(domain, disks: [disk], at: .now)).disks.first?.facts
    }()

    /// What ``DomainDescription/init(xml:)`` would read from the domain's XML, made without XML a hundred times as fast.
    func description(_ view: XMLView, at now: ContinuousClock.Instant) throws(SwapFailure) -> DomainDescription {
        if case .inactive = view, case .xml(let xml)? = definition { return try DomainDescription(xml: xml) }
        let disks = shown(view)
        guard let pattern = Self.pattern else {
            return try DomainDescription(xml: DryRunXML.domain(self, disks: disks, at: now))
        }
        return DomainDescription(
            uuid: identity.uuid, name: identity.name,
            disks: disks.map { DiskDescription(Self.describe($0.facts, pattern, at: now)) }, hasTPM: false)
    }

    /// The disks of the live or the stored configuration; the stored one shows no copies.
    func shown(_ view: XMLView) -> [DryRunDisk] {
        guard case .inactive = view, case .disks(let stored)? = definition else { return disks }
        return stored.map { disk in
            guard disk.facts.copy != nil else { return disk }
            var disk = disk
            disk.copy = nil
            return disk
        }
    }

    /// The ``DiskDescription/keptElements`` of a disk with this target and serial.
    static func keptElements(_ target: String, _ serial: String?) -> [String] {
        var elements = (pattern?.keptElements ?? []).map { element in
            element.hasPrefix("<target ") ? "<target bus=virtio dev=\(target)>" : element
        }
        if let serial { elements.append("<serial>\(serial)") }
        return elements.sorted()
    }

    private static func describe(_ disk: DryRunDiskFacts, _ pattern: DiskFacts, at now: ContinuousClock.Instant)
        -> DiskFacts
    {
        var description = pattern
        description.target = disk.target
        description.location = disk.source.location
        description.format = disk.source.format
        description.serial = disk.serial
        description.isEncrypted = disk.source.encryption != nil
        description.passphrase = disk.source.encryption
        description.secretUUIDs = [disk.source.auth?.secret.uuid, disk.source.encryption?.uuid].compactMap { $0?.lowercased() }
        description.keptElements = disk.keptElements ?? keptElements(disk.target, disk.serial)
        guard let copy = disk.copy else {
            description.mirror = nil
            return description
        }
        description.mirror?.location = copy.destination.location
        description.mirror?.format = copy.destination.format
        description.mirror?.isEncrypted = copy.destination.encryption != nil
        description.mirror?.passphrase = copy.destination.encryption
        description.mirror?.ready = copy.shownReady(at: now)
        return description
    }
}
