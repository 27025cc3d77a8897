/// Whether a swap's new volume is used by somebody, a domain or the host itself: two writers on one volume end in corruption.
///
/// It is asked in the preflight, and again directly before the copy starts: connecting a volume takes time, and others do not wait.
struct InUseCheck: Sendable {
    let hypervisor: any Hypervisor
    let request: SwapRequest

    /// - Parameter domains: every domain of the host where that is known already, else they are asked for.
    /// - Returns: warnings: which places could not be asked.
    /// - Throws: ``SwapFailure`` of kind `invalidVolume` that names who uses the volume; also when a domain cannot be read, since what
    ///   it uses is not known then.
    @discardableResult
    func check(_ plan: SwapPlan, domains: [DomainDescription]? = nil) async throws -> [String] {
        let uses = VolumeUses(hypervisor: hypervisor, domains: try await all(domains))
        let own = VolumeUses.Exemption(domain: plan.domain.uuid, disk: plan.disk)
        let destination = plan.destination.location
        let answer = await VolumeIdentifier(hypervisor: hypervisor).identity(of: destination)
        if let trouble = answer.trouble {
            throw SwapFailure.invalidVolume("the new volume \(destination) cannot be looked at: \(trouble)", .ioError)
        }
        let finding = await uses.find(answer.identity, at: destination, ids: request.newVolumeIDs, except: own)
        if let use = finding.use {
            throw SwapFailure.invalidVolume("the new volume \(destination) is in use as \(use)", .newVolumeInUse)
        }
        if case .block(let path) = destination, try await hypervisor.isHeldByHost(path: path) {
            throw SwapFailure.invalidVolume(
                "the new volume \(path) is in use by the host itself: mounted, swap, or part of a mapped device", .newVolumeInUse)
        }
        return try await finding.doubts + checkWriters(plan, uses, own)
    }

    /// A volume without a known place: by its ids, and by the names that its driver knows. Asked before a connector attaches it.
    func checkUnattached(_ domain: DomainIdentity, disk: String) async throws {
        let uses = VolumeUses(hypervisor: hypervisor, domains: try await all(nil))
        let identity = request.newConnection.driver.identity(of: request.newConnection)
        let own = VolumeUses.Exemption(domain: domain.uuid, disk: disk)
        guard let use = await uses.find(identity, at: nil, ids: request.newVolumeIDs, except: own).use else { return }
        let id = request.newVolumeIDs.first.map { " \($0)" } ?? ""
        throw SwapFailure.invalidVolume("the new volume\(id) is in use as \(use)", .newVolumeInUse)
    }

    /// An old volume that may have several writers must have one.
    private func checkWriters(_ plan: SwapPlan, _ uses: VolumeUses, _ own: VolumeUses.Exemption) async throws -> [String] {
        let isShareable = uses.domains.contains { domain in
            domain.uuid == own.domain && domain.disk(own.disk)?.isShareable == true
        }
        guard request.oldConnection.isMultiattach || isShareable else { return [] }
        let identity = await VolumeIdentifier(hypervisor: hypervisor).identity(of: plan.oldLocation).identity
        let others = VolumeUses(hypervisor: hypervisor, domains: uses.domains.filter { $0.uuid != own.domain })
        let finding = await others.find(identity, at: plan.oldLocation)
        if let use = finding.use {
            throw SwapFailure.invalidVolume(
                "the old volume \(plan.oldLocation) is attached to \(use.domain) too: a volume with more than one writer cannot be moved",
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

    /// Closed where it cannot see. What will pass is for the caller to try again.
    static func blind(_ error: HypervisorError) -> any Error {
        error.isPassing
            ? error : SwapFailure.rebaseFailed("whether the new volume is in use cannot be told: \(error)", .hypervisorRefused)
    }
}

extension SwapRequest {
    /// Every id of the new volume that the request gives.
    var newVolumeIDs: [String] { ([newVolumeID].compactMap { $0 } + newConnection.volumeIDs).filter { !$0.isEmpty } }
    var oldVolumeIDs: [String] { ([oldVolumeID].compactMap { $0 } + oldConnection.volumeIDs).filter { !$0.isEmpty } }
}
