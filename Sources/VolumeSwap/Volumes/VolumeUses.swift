/// Finds the disks of a host's domains that use a volume, by whatever name.
struct VolumeUses: Sendable {
    let hypervisor: any Hypervisor
    let domains: [DomainDescription]

    /// A disk that uses a volume.
    struct Use: Sendable, CustomStringConvertible {
        var disk: String
        var domain: String
        var isLive: Bool
        /// The disk's serial is the volume's id; its place has another name.
        var isBySerial = false

        var description: String {
            let state = isLive ? "" : ", as its stored configuration says"
            return "disk \(disk) of \(domain)\(isBySerial ? ", whose serial is its id" : "")\(state)"
        }
    }

    /// What was found, and which places could not be asked.
    struct Finding: Sendable {
        var use: Use?
        /// Places that did not answer, or could not be looked at: they count as other volumes. For a warning.
        var doubts: [String] = []
    }

    /// A disk that is not counted: the one that is moved. What lies below its source counts all the same.
    struct Exemption: Sendable {
        var domain: String
        var disk: String
    }

    /// - Parameters:
    ///   - known: the volume's names, with the host's word on its place.
    ///   - location: the volume's place: what can never be there is not looked at.
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
                for place in (isOwn ? [] : [disk.location, disk.mirror?.location].compactMap { $0 }) + disk.backing {
                    // Texts first: most places need no look at the host.
                    if known.meets(VolumeIdentity(text: place)) { return Finding(use: use) }
                    if let location, Self.isToBeAsked(place, for: location), toAsk[place] == nil { toAsk[place] = use }
                }
            }
        }
        return await ask(toAsk, known)
    }

    private func ask(_ places: [VolumeLocation: Use], _ known: VolumeIdentity) async -> Finding {
        let answers = await VolumeIdentifier(hypervisor: hypervisor, owner: .another).identities(of: Set(places.keys))
        var finding = Finding()
        for place in places.keys.sorted(by: { $0.description < $1.description }) {
            guard let use = places[place], let answer = answers[place] else { continue }
            if answer.identity.meets(known) { finding.use = use }
            if let trouble = answer.trouble {
                finding.doubts.append("\(place), which is \(use), was taken for another volume: \(trouble)")
            }
        }
        finding.doubts.sort()
        return finding
    }

    /// Whether a place of another text can be the volume. QEMU opens no block device as a file; the names in /dev are asked all the
    /// same, since they never hang.
    private static func isToBeAsked(_ place: VolumeLocation, for location: VolumeLocation) -> Bool {
        if case .file(let path) = place, case .block = location { return path.hasPrefix("/dev/") }
        return place.canBe(location)
    }
}
