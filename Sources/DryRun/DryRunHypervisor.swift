import Basics
package import Settings
import Synchronization
package import VolumeSwap

/// The `dry-run:` hypervisor: simulated domains and copies, for replays, rehearsals and load tests. The host is never touched.
///
/// Without a list of domains every instance exists and runs, with the disk and the old volume of the last expected request. At
/// most ``capacity`` domains are remembered; the least recently used are forgotten first.
package final class DryRunHypervisor: Hypervisor {
    /// Upper bound on remembered domains, and on remembered sizes that differ from the default.
    static let capacity = 2048

    struct State {
        var domains: [String: DryRunDomain] = [:]
        /// Sizes implied by requests: a volume to grow onto must be large enough.
        var sizes: [String: Int64] = [:]
        var subscribers: [String: [HypervisorEvents]] = [:]
        var clock: UInt64 = 0

        mutating func tick() -> UInt64 {
            clock += 1
            return clock
        }
    }

    /// `dry-run`, reported in every result.
    package let kind = "dry-run"
    package let isOnThisHost = true
    package let isConnected = true
    let options: DryRunOptions
    let state: Mutex<State>
    private let mountPointBase: String

    /// - Parameter mountPointBase: The directory in the paths of mounted shares.
    /// - Throws: ``ConfigurationError`` if the list of domains cannot be read.
    package init(options: DryRunOptions, mountPointBase: String = "/var/lib/nova/mnt") throws(ConfigurationError) {
        self.options = options
        self.mountPointBase = mountPointBase
        var state = State()
        if let file = options.domainsFile {
            for domain in try DryRunDomainList.read(file: file, options: options) {
                state.domains[domain.identity.uuid] = domain
                for disk in domain.disks {
                    if let path = disk.source.location.path { state.sizes[path] = disk.bytes }
                }
            }
        }
        self.state = Mutex(state)
    }

    /// Creates the domain that a request names, with the disk on the request's old volume. Call it before the swap is prepared.
    ///
    /// A disk that is already on the old or the new volume, or is being copied, is left as it is, and so is any if the request does
    /// not say where the old volume is. With a list of domains this does nothing.
    package func expect(_ request: SwapRequest) {
        guard options.domainsFile == nil else { return }
        let old = place(request.oldConnection, "old_connection_info")
        let new = place(request.newConnection, "new_connection_info")
        let serial = request.oldConnection.volumeID ?? request.oldVolumeID
        let disk = DryRunDisk(
            DryRunDiskFacts(
                target: request.disk, source: old ?? Self.stand(for: request.oldConnection), bytes: options.sizeGiB << 30,
                serial: serial,
                volumeIDs: [request.oldVolumeID, request.newVolumeID, serial, request.newConnection.volumeID].compactMap { $0 },
                keptElements: DryRunDomain.keptElements(request.disk, serial)))
        let identity = Self.identity(request.instance)
        state.withLock { state in
            makeRoom(&state)
            var domain =
                state.domains.removeValue(forKey: identity.uuid)
                ?? DryRunDomain(identity: identity, disks: [], definition: options.isPersistent ? .disks([]) : nil)
            domain.isActive = true
            domain.lastUse = state.tick()
            if let index = domain.index(request.disk) {
                domain.disks[index].volumeIDs = disk.facts.volumeIDs
                let known = domain.disks[index].facts.source.location
                let isKept = domain.disks[index].facts.copy != nil || [old?.location ?? known, new?.location].contains(known)
                if !isKept { put(disk, &domain) }
            } else {
                put(disk, &domain)
            }
            if let target = request.resizeToBytes, let path = new?.location.path { state.sizes[path] = target }
            state.domains[identity.uuid] = domain
        }
    }

    private func put(_ disk: DryRunDisk, _ domain: inout DryRunDomain) {
        domain.disks.removeAll { $0.facts.target == disk.facts.target }
        domain.disks.append(disk)
        if domain.definition != nil { domain.definition = .disks(domain.disks) }
    }

    private func place(_ connection: ConnectionInfo, _ argument: String) -> VolumeSource? {
        let format = (try? connection.format(argument: argument)) ?? "raw"
        switch try? connection.target(mountPointBase: mountPointBase, argument: argument) {
        case .path(let path): return VolumeSource(location: Self.location(path: path), format: format)
        case .network(let network): return VolumeSource(location: .network(network), format: format)
        case .connector:
            return VolumeSource(location: Self.location(path: DryRunConnector.path(connection)), format: format)
        case nil: return nil
        }
    }

    /// Where the disk is if connection_info does not say: its instance exists, and the preflight says what is missing.
    private static func stand(for connection: ConnectionInfo) -> VolumeSource {
        VolumeSource(location: location(path: DryRunConnector.path(connection)), format: "raw")
    }

    /// Forgets the least recently used quarter.
    private func makeRoom(_ state: inout State) {
        if state.sizes.count > Self.capacity { state.sizes.removeAll() }
        guard state.domains.count >= Self.capacity else { return }
        let idle = state.domains.compactMap { uuid, domain in
            domain.isBusy || state.subscribers[uuid] != nil ? nil : (uuid: uuid, lastUse: domain.lastUse)
        }
        for domain in idle.sorted(by: { $0.lastUse < $1.lastUse }).prefix(Self.capacity / 4) { state.domains[domain.uuid] = nil }
    }

    static func location(path: String) -> VolumeLocation { path.hasPrefix("/dev/") ? .block(path) : .file(path) }

    /// An instance known by name alone gets a UUID derived from its name.
    static func identity(_ instance: InstanceReference) -> DomainIdentity {
        let name = instance.name ?? "instance-\((instance.uuid ?? "").prefix(8))"
        if let uuid = instance.uuid { return DomainIdentity(uuid: uuid, name: name) }
        let hex = FNV1a.hash64(name).padded(to: 16, radix: 16)
        return DomainIdentity(uuid: "00000000-0000-4000-\(hex.prefix(4))-\(hex.suffix(12))", name: name)
    }
}

extension DryRunHypervisor {
    package func waitUntilConnected() async {}

    /// Finds a listed or expected domain.
    ///
    /// - Throws: `noDomain` if there is none, or if a rule demands it.
    package func lookup(_ instance: InstanceReference) async throws(HypervisorError) -> DomainIdentity {
        let wanted = Self.identity(instance)
        let domain = state.withLock { state in
            state.domains[wanted.uuid] ?? state.domains.values.first { $0.identity.name == instance.name }
        }
        guard let domain, rule(.lookup, domain) == nil else { throw Self.noDomain(instance.description) }
        return domain.identity
    }

    package func savedStates(_ domain: DomainIdentity) async throws(HypervisorError) -> SavedStates { SavedStates() }

    package func status(_ domain: DomainIdentity) async throws(HypervisorError) -> DomainStatus {
        try with(domain) { domain throws(HypervisorError) in
            DomainStatus(isActive: isActive(domain), isPersistent: domain.definition != nil)
        }
    }

    /// The domain's XML, as libvirt would show it.
    package func xml(_ domain: DomainIdentity, _ view: XMLView) async throws(HypervisorError) -> String {
        let domain = try with(domain) { domain throws(HypervisorError) in domain }
        if case .inactive = view, case .xml(let xml)? = domain.definition { return xml }
        return DryRunXML.domain(domain, disks: domain.shown(view), at: .now)
    }

    /// ``xml(_:_:)`` in parsed form.
    package func description(_ domain: DomainIdentity, _ view: XMLView) async throws(HypervisorError) -> DomainDescription {
        let domain = try with(domain) { domain throws(HypervisorError) in domain }
        do {
            return try domain.description(view, at: .now)
        } catch {
            throw HypervisorError(.other, error.reason)
        }
    }

    /// Stores the configuration, as `virDomainDefineXMLFlags` does.
    package func define(xml: String) async throws(HypervisorError) {
        let description: DomainDescription
        do {
            description = try DomainDescription(xml: xml)
        } catch {
            throw HypervisorError(.other, number: 27, "XML error: \(error.reason)")
        }
        try state.withLock { state throws(HypervisorError) in
            let identity = DomainIdentity(uuid: description.uuid, name: description.name)
            var domain = state.domains[identity.uuid] ?? DryRunDomain(identity: identity, disks: [], isActive: false)
            if let rule = rule(.define, domain) { throw Self.refusal("cannot write the domain's configuration", rule) }
            domain.definition = .xml(xml)
            state.domains[identity.uuid] = domain
        }
    }

    /// Removes the stored configuration, as `virDomainUndefineFlags` does.
    package func undefine(_ domain: DomainIdentity) async throws(HypervisorError) {
        try with(domain) { domain throws(HypervisorError) in
            if let rule = rule(.undefine, domain) { throw Self.refusal("cannot delete the domain's configuration", rule) }
            guard domain.definition != nil else {
                throw HypervisorError(
                    .operationInvalid, number: 55, "Requested operation is not valid: cannot undefine transient domain")
            }
            domain.definition = nil
        }
    }

    package func saveDefinition(_ domain: DomainIdentity) async throws(HypervisorError) {}

    package func setRecoveryMetadata(_ domain: DomainIdentity, _ element: String?) async throws(HypervisorError) {
        try with(domain) { domain throws(HypervisorError) in
            try running(domain)
            domain.metadata = element
        }
    }

    package func recoveryMetadata(_ domain: DomainIdentity) async throws(HypervisorError) -> String? {
        try with(domain) { domain throws(HypervisorError) in domain.metadata }
    }

    package func guestState(_ domain: DomainIdentity) async throws(HypervisorError) -> GuestState {
        try with(domain) { domain throws(HypervisorError) in
            guard isActive(domain) else { return .notRunning }
            return domain.isPaused ? .pausedOnRequest : .running
        }
    }

    package func suspend(_ domain: DomainIdentity) async throws(HypervisorError) {
        try with(domain) { domain throws(HypervisorError) in
            try running(domain)
            domain.isPaused = true
        }
    }

    package func resume(_ domain: DomainIdentity) async throws(HypervisorError) {
        try with(domain) { domain throws(HypervisorError) in domain.isPaused = false }
    }

    /// The listed domains. Those created for requests are left out, so that they occupy no volume.
    package func domains() async throws(HypervisorError) -> [DomainDescription] {
        let domains = state.withLock { state in options.domainsFile == nil ? [] : Array(state.domains.values) }
        var descriptions: [DomainDescription] = []
        for domain in domains {
            do {
                if isActive(domain) { descriptions.append(try domain.description(.live, at: .now)) }
                if domain.definition != nil {
                    var stored = try domain.description(.inactive, at: .now)
                    stored.isLive = false
                    descriptions.append(stored)
                }
            } catch {
                throw HypervisorError(.other, "the configuration of \(domain.identity.name) cannot be read: \(error.reason)")
            }
        }
        return descriptions
    }

    /// Delivers the simulated domain's events.
    package func subscribe(_ events: HypervisorEvents, to domain: DomainIdentity) async throws(HypervisorError) {
        guard events.take() else { return }
        let uuid = domain.uuid
        state.withLock { $0.subscribers[uuid, default: []].append(events) }
        events.onClose { [weak self, weak events] in
            self?.state.withLock { state in
                state.subscribers[uuid]?.removeAll { $0 === events }
                if state.subscribers[uuid]?.isEmpty == true { state.subscribers[uuid] = nil }
            }
        }
    }

    func with<Value>(_ identity: DomainIdentity, _ body: (inout DryRunDomain) throws(HypervisorError) -> Value)
        throws(HypervisorError) -> Value
    {
        try state.withLock { state throws(HypervisorError) in
            guard let index = state.domains.index(forKey: identity.uuid) else { throw Self.noDomain(identity.uuid) }
            state.domains.values[index].lastUse = state.tick()
            defer { if Self.isGone(&state.domains.values[index]) { state.domains.remove(at: index) } }
            return try body(&state.domains.values[index])
        }
    }

    /// A transient domain that does not run no longer exists. (`inout` avoids copying the dictionary's value.)
    private static func isGone(_ domain: inout DryRunDomain) -> Bool { !domain.isActive && domain.definition == nil }

    func isActive(_ domain: DryRunDomain) -> Bool { domain.isActive && rule(.off, domain) == nil }

    func running(_ domain: DryRunDomain) throws(HypervisorError) {
        guard isActive(domain) else {
            throw HypervisorError(.operationInvalid, number: 55, "Requested operation is not valid: domain is not running")
        }
    }

    func rule(_ step: DryRunStep, _ domain: DryRunDomain, _ disk: DryRunDisk? = nil) -> DryRunRule? {
        if options.rules.isEmpty { return nil }
        return options.rules.first { rule in
            rule.step == step && (disk.map { [$0] } ?? domain.disks).contains { rule.matches(domain, $0) }
        }
    }

    static func refusal(_ what: String, _ rule: DryRunRule) -> HypervisorError {
        HypervisorError(.other, number: 1, "internal error: \(what), as the dry-run's rule for '\(rule.step.rawValue)' demands")
    }

    static func noDomain(_ name: String) -> HypervisorError {
        HypervisorError(.noDomain, number: 42, "Domain not found: no domain with matching uuid '\(name)'")
    }
}
