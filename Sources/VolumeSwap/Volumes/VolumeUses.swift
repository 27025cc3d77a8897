/// Finds disks of the host's domains that use a volume under any name.
struct VolumeUses: Sendable {
    let hypervisor: any Hypervisor
    let domains: [DomainDescription]
    /// What is below disks for which libvirt names no backing chain, by the disk's own place.
    var chains: [VolumeLocation: BackingChains.Chain] = [:]

    /// A disk that uses a volume.
    struct Use: Sendable, CustomStringConvertible {
        var disk: String
        var domain: String
        var isLive: Bool
        /// Only the disk's serial is the volume's id; its place has a different name.
        var isBySerial = false
        /// It is a LUN that the guest has passed through; `disk` is its address.
        var isPassedThrough = false

        /// The device as its guest has it.
        var device: String { isPassedThrough ? "the SCSI device \(disk)" : "disk \(disk)" }

        var description: String {
            let state = isLive ? "" : ", according to its stored configuration"
            return "\(device) of \(domain)\(isBySerial ? ", whose serial is its id" : "")\(state)"
        }
    }

    /// The result, with warnings about places that could not be checked.
    struct Finding: Sendable {
        var use: Use?
        /// Places that did not answer and were assumed to be other volumes, for a warning.
        var doubts: [String] = []
    }

    /// The disk that is being moved, which does not count; its backing chain does.
    struct Exemption: Sendable {
        var domain: String
        var disk: String
    }

    /// Finds a disk that uses a volume.
    ///
    /// - Parameters:
    ///   - known: the volume's names, as complete as the host can tell.
    ///   - location: the volume's place; disks that cannot be there are skipped.
    ///   - ids: the volume's ids, for disks whose serial is one of them.
    func find(_ known: VolumeIdentity, at location: VolumeLocation?, ids: [String] = [], except own: Exemption? = nil) async
        -> Finding
    {
        var toAsk: [VolumeLocation: Use] = [:]
        let wanted = VolumeIdentity(ids: ids)
        for domain in domains {
            for disk in domain.disks {
                let isOwn = own.map { $0.domain == domain.uuid && $0.disk == disk.target } ?? false
                var use = Use(disk: disk.target, domain: domain.name, isLive: domain.isLive)
                if !isOwn, let serial = disk.serial, wanted.meets(VolumeIdentity(ids: [serial])) {
                    use.isBySerial = true
                    return Finding(use: use)
                }
                for place in places(of: disk, isOwn: isOwn) {
                    // Compare names first: most places need no look at the host.
                    if known.meets(VolumeIdentity(text: place)) { return Finding(use: use) }
                    if let location, Self.isToBeAsked(place, for: location), toAsk[place] == nil { toAsk[place] = use }
                }
            }
        }
        let luns = await passedThrough()
        for (place, use) in luns.uses {
            if known.meets(VolumeIdentity(text: place)) { return Finding(use: use) }
            if let location, Self.isToBeAsked(place, for: location), toAsk[place] == nil { toAsk[place] = use }
        }
        var finding = await ask(toAsk, known)
        finding.doubts = (finding.doubts + chainDoubts + luns.doubts).sorted()
        return finding
    }

    /// The places of LUNs that guests have passed through, and why that of another is not known, for a warning.
    func passedThrough() async -> (uses: [(place: VolumeLocation, use: Use)], doubts: [String]) {
        var uses: [(place: VolumeLocation, use: Use)] = []
        var doubts: [String] = []
        for domain in domains {
            for lun in domain.passedThrough {
                let use = Use(disk: lun.description, domain: domain.name, isLive: domain.isLive, isPassedThrough: true)
                switch lun {
                case .network(let network): uses.append((place: .network(network), use: use))
                case .host(let address):
                    do throws(HypervisorError) {
                        guard let path = try await hypervisor.scsiDisk(at: address) else { continue }
                        uses.append((place: .block(path), use: use))
                    } catch {
                        doubts.append("\(use) was assumed to be another volume: \(error)")
                    }
                }
            }
        }
        return (uses, doubts)
    }

    /// Where a disk's bytes are; of the disk that is moved, only what is below it.
    private func places(of disk: DiskDescription, isOwn: Bool) -> [VolumeLocation] {
        let own = isOwn ? [] : [disk.location, disk.mirror?.location].compactMap(\.self)
        return own + disk.backing + (disk.location.flatMap { chains[$0] }?.places ?? [])
    }

    private var chainDoubts: [String] {
        domains.flatMap { domain in
            domain.disks.compactMap { disk in
                guard let place = disk.location, let trouble = chains[place]?.trouble else { return nil }
                let use = Use(disk: disk.target, domain: domain.name, isLive: domain.isLive)
                return "what is below \(place), which is \(use), was assumed to be other volumes: \(trouble)"
            }
        }
    }

    private func ask(_ places: [VolumeLocation: Use], _ known: VolumeIdentity) async -> Finding {
        let answers = await VolumeIdentifier(hypervisor: hypervisor, owner: .another).identities(of: Set(places.keys))
        var finding = Finding()
        for place in places.keys.sorted(by: { $0.description < $1.description }) {
            guard let use = places[place], let answer = answers[place] else { continue }
            if answer.identity.meets(known) { finding.use = use }
            if let trouble = answer.trouble {
                finding.doubts.append("\(place), which is \(use), was assumed to be another volume: \(trouble)")
            }
        }
        return finding
    }

    /// Whether to ask the host about a place with a different name. QEMU opens no block device as a file, but names in /dev are
    /// asked anyway, since they never hang.
    private static func isToBeAsked(_ place: VolumeLocation, for location: VolumeLocation) -> Bool {
        if case .file(let path) = place, case .block = location { return path.hasPrefix("/dev/") }
        return place.canBe(location)
    }
}
