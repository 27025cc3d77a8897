/// Asks the host for the names of a volume.
struct VolumeIdentifier: Sendable {
    let hypervisor: any Hypervisor
    /// Whose volumes are asked about.
    var owner = PathOwner.swap

    /// The known names of a place, and why they may be incomplete.
    struct Answer: Sendable {
        var identity: VolumeIdentity
        /// Why the place did not answer, for a warning; nil if it did.
        var trouble: String?
    }

    /// The names of a place. A place that does not answer keeps those that its own string implies.
    func identity(of location: VolumeLocation, ids: [String] = []) async -> Answer {
        var answer = Answer(identity: VolumeIdentity(text: location).union(VolumeIdentity(ids: ids)))
        switch location {
        case .file(let path), .block(let path):
            // The file behind a loop device has other names, too, by a bind mount or a hard link.
            if let file = await add(path, to: &answer) { _ = await add(file, to: &answer) }
        case .network(let network):
            guard let driver = network.driver, driver.isNamedByServer else { break }
            var resolved = network
            for host in network.hosts {
                let isSocket = host.name.hasPrefix("/")
                let addresses = isSocket ? [host.name] : await hypervisor.addresses(ofHost: host.name)
                resolved.hosts = addresses.map { .init(name: $0, port: host.port) }
                if resolved.hosts.isEmpty { answer.trouble = "the addresses of \(host.name) are not known" }
                answer.identity = answer.identity.union(VolumeIdentity(driver.names(of: resolved)))
            }
        case .other: break
        }
        return answer
    }

    /// Adds the names of what is at a path.
    ///
    /// - Returns: the file behind it, if it is a loop device.
    private func add(_ path: String, to answer: inout Answer) async -> String? {
        switch await hypervisor.look(at: path, of: owner) {
        case .found(let place):
            answer.identity = answer.identity.union(VolumeIdentity(place: place))
            return place.loopFile
        case .nothing: break
        case .failed(let reason): answer.trouble = reason
        case .noAnswer: answer.trouble = "\(path) does not answer"
        }
        return nil
    }

    /// The answers for many places, asked in parallel, a few at a time.
    func identities(of locations: Set<VolumeLocation>) async -> [VolumeLocation: Answer] {
        await withTaskGroup(of: (VolumeLocation, Answer).self) { group in
            // A fixed order, so that a simulated run can be repeated.
            var rest = locations.sorted { $0.description > $1.description }
            var answers: [VolumeLocation: Answer] = [:]
            func askNext() {
                guard let location = rest.popLast() else { return }
                group.addImmediateTask { (location, await identity(of: location)) }
            }
            for _ in 0..<8 { askNext() }
            for await (location, answer) in group {
                answers[location] = answer
                askNext()
            }
            return answers
        }
    }
}

extension VolumeLocation {
    /// Whether two places with different names can be the same volume at all: a file is not an RBD image.
    ///
    /// Where it is possible, ask the host: a device can be a mapped network volume, and a loop device is the file behind it.
    func canBe(_ other: VolumeLocation) -> Bool {
        switch (self, other) {
        case (.file, .file), (.file, .block), (.block, .file), (.block, .block): true
        case (.block, .network(let network)), (.network(let network), .block): network.canBeHostDevice
        case (.network(let one), .network(let other)): one.driver?.isNamedByServer ?? false && one.hasSameName(as: other)
        case (.file, .network), (.network, .file), (.other, _), (_, .other): false
        }
    }
}
