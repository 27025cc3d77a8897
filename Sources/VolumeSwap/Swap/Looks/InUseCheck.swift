/// Checks whether a domain or the host itself uses a swap's new volume: two writers corrupt it.
///
/// Runs in the preflight and again right before the copy starts, since connecting a volume takes time.
struct InUseCheck: Sendable {
    let hypervisor: any Hypervisor
    let request: SwapRequest
    let strays: StrayGuests

    /// - Parameter domains: every domain of the host, if already known.
    /// - Returns: warnings about places that could not be checked.
    /// - Throws: ``SwapFailure`` of kind `invalidVolume` naming the user of the volume, or if a domain cannot be read and its
    ///   volumes are thus unknown; ``HypervisorError`` for transient trouble.
    @discardableResult
    func check(_ plan: SwapPlan, domains: [DomainDescription]? = nil) async throws -> [String] {
        let uses = VolumeUses(hypervisor: hypervisor, domains: try await all(domains))
        let own = VolumeUses.Exemption(domain: plan.domain.uuid, disk: plan.disk)
        let destination = plan.destination.location
        let answer = await VolumeIdentifier(hypervisor: hypervisor).identity(of: destination)
        if let trouble = answer.trouble {
            throw SwapFailure.invalidVolume("the new volume \(destination) cannot be examined: \(trouble)", .ioError)
        }
        // Where the host does not show it, connection_info may still say which LUN a device is.
        let volume = answer.identity.union(request.newConnection.identity)
        let (user, doubts) = try await find(volume, at: destination, uses, except: own)
        if let user {
            throw SwapFailure.invalidVolume("the new volume \(destination) is in use as \(user)", .newVolumeInUse)
        }
        return try await doubts + checkHost(destination, volume) + checkWriters(plan, uses, own)
    }

    /// Refuses a new volume that the host itself uses. A loop device that a guest uses is found before, as that guest's disk.
    private func checkHost(_ destination: VolumeLocation, _ volume: VolumeIdentity) async throws -> [String] {
        switch destination {
        case .block(let path):
            guard try await hypervisor.isHeldByHost(path: path) else { return [] }
            throw SwapFailure.invalidVolume(
                "the new volume \(path) is in use by the host itself: mounted, swap, or part of a mapped device", .newVolumeInUse)
        case .file(let path):
            let files = try await hypervisor.filesInUse()
            guard !files.isEmpty else { return [] }
            let places = Set(files.map { VolumeLocation.file($0.path) })
            let answers = await VolumeIdentifier(hypervisor: hypervisor, owner: .another).identities(of: places)
            return try files.compactMap { file in
                guard let answer = answers[.file(file.path)] else { return nil }
                guard !answer.identity.meets(volume) else {
                    throw SwapFailure.invalidVolume(
                        "the new volume \(path) is in use by the host itself: \(file.user) is on it", .newVolumeInUse)
                }
                return answer.trouble.map { "\(file.path), which \(file.user) is on, was assumed to be another volume: \($0)" }
            }
        case .network(let network): return try await checkDevices(network, volume)
        case .other: return []
        }
    }

    /// Refuses a network volume that is also a block device of the host, which uses it.
    private func checkDevices(_ network: NetworkLocation, _ volume: VolumeIdentity) async throws -> [String] {
        guard let driver = network.driver else { return [] }
        let devices = try await HostDevices(hypervisor: hypervisor).find(volume, of: driver)
        for path in devices.paths {
            if driver.hostDevice == .perhapsUnnamed, try await hypervisor.hostUse(path: path) == nil { continue }
            throw SwapFailure.invalidVolume(
                "the new volume \(network) is in use by the host itself, as \(path)", .newVolumeInUse)
        }
        return devices.doubts
    }

    /// Checks a volume that no connector has attached yet, by its ids and the names that its driver knows.
    ///
    /// - Throws: ``SwapFailure`` of kind `invalidVolume` naming the user of the volume; ``HypervisorError``.
    func checkUnattached(_ domain: DomainIdentity, disk: String) async throws {
        guard let use = try await user(of: nil, except: .init(domain: domain.uuid, disk: disk)) else { return }
        let id = request.newVolumeIDs.first.map { " \($0)" } ?? ""
        throw SwapFailure.invalidVolume("the new volume\(id) is in use as \(use)", .newVolumeInUse)
    }

    /// A refusal of a disk on the old volume lets its caller delete the new one, so it must not hide that somebody uses that.
    func naming(userOf location: VolumeLocation?, in failure: SwapFailure, except own: VolumeUses.Exemption) async -> SwapFailure
    {
        guard failure.inUse == .old, failure.code != .newVolumeInUse else { return failure }
        do {
            guard let user = try await user(of: location, except: own) else { return failure }
            var failure = failure.adding("moreover, the new volume is in use as \(user)")
            failure.code = .newVolumeInUse
            return failure
        } catch {
            return failure.leaving("whether somebody else uses the new volume could not be determined: \(error)")
        }
    }

    /// Who uses the new volume, by its ids, the names that its driver knows, and its place if that is known; nil if nobody does.
    private func user(of location: VolumeLocation?, except own: VolumeUses.Exemption) async throws -> String? {
        let uses = VolumeUses(hypervisor: hypervisor, domains: try await all(nil))
        var identity = request.newConnection.identity
        if let location {
            identity = identity.union(await VolumeIdentifier(hypervisor: hypervisor).identity(of: location).identity)
        }
        return try await find(identity, at: location, uses, except: own).user
    }

    /// The disk that uses the new volume, as libvirt shows it or without its knowledge, and places that could not be checked.
    private func find(
        _ volume: VolumeIdentity, at location: VolumeLocation?, _ uses: VolumeUses, except own: VolumeUses.Exemption
    ) async throws -> (user: String?, doubts: [String]) {
        var uses = uses
        if location?.path != nil { uses.chains = try await BackingChains(hypervisor: hypervisor).read(uses.domains) }
        let finding = await uses.find(volume, at: location, ids: request.newVolumeIDs, except: own)
        if let use = finding.use { return ("\(use)", finding.doubts) }
        let named = volume.union(VolumeIdentity(ids: request.newVolumeIDs))
        let stray = try await strays.user(of: named, except: own, hypervisor)
        return (stray.map { "\($0)" }, finding.doubts)
    }

    /// Refuses an old volume with several writers.
    private func checkWriters(_ plan: SwapPlan, _ uses: VolumeUses, _ own: VolumeUses.Exemption) async throws -> [String] {
        let isShareable = uses.domains.contains { domain in
            domain.uuid == own.domain && domain.disk(own.disk)?.isShareable == true
        }
        guard request.oldConnection.isMultiattach || isShareable else { return [] }
        let identity = await VolumeIdentifier(hypervisor: hypervisor).identity(of: plan.oldLocation).identity
        let finding = await uses.find(identity, at: plan.oldLocation, except: own)
        if let use = finding.use {
            let user = use.domain == plan.domain.name ? "the same guest, as \(use.device)" : use.domain
            throw SwapFailure.invalidVolume(
                "the old volume \(plan.oldLocation) is also attached to \(user): a volume with more than one writer cannot be moved",
                .multiattach)
        }
        return finding.doubts
    }

    private func all(_ domains: [DomainDescription]?) async throws -> [DomainDescription] {
        if let domains { return domains }
        do throws(HypervisorError) {
            return try await hypervisor.domains()
        } catch {
            throw Self.blind(error)
        }
    }

    /// The error for a check that cannot see all domains, which must refuse. A transient error is the caller's to retry.
    static func blind(_ error: HypervisorError) -> any Error {
        error.isPassing
            ? error
            : SwapFailure.rebaseFailed("it cannot be determined whether the new volume is in use: \(error)", .hypervisorRefused)
    }
}

extension SwapRequest {
    /// Every id that the request gives the new volume, once.
    var newVolumeIDs: [String] { Self.ids(newVolumeID, newConnection) }
    var oldVolumeIDs: [String] { Self.ids(oldVolumeID, oldConnection) }

    private static func ids(_ given: String?, _ connection: ConnectionInfo) -> [String] {
        ([given].compactMap(\.self) + connection.volumeIDs).reduce(into: []) { ids, id in
            if !id.isEmpty, !ids.contains(id) { ids.append(id) }
        }
    }
}
