import Basics
import Logging

/// Restores domains that a swap undefined and that are in no journal: each carries its definition in its metadata.
struct OrphanKeeper {
    let environment: SwapEnvironment
    let instanceQueue: InstanceQueue

    private var hypervisor: any Hypervisor { environment.hypervisor }

    /// Checks every running domain, and retries until each has answered; one that hangs does not hold up the others.
    ///
    /// - Parameter isKnown: whether the journal takes care of a task.
    func run(isKnown: @escaping @Sendable (TaskID) -> Bool) async {
        var left: [DomainIdentity]?
        var backoff = Backoff(first: .seconds(1), longest: .seconds(60))
        while !Task.isCancelled {
            do {
                let candidates = try await remaining(left)
                left = await candidates.asyncFilter { await !look($0, isKnown) }
                if left?.isEmpty ?? true { return }
            } catch {
                environment.logger.warning("the running domains cannot be checked for lost definitions: \(error)")
            }
            guard (try? await environment.clock.sleep(for: backoff.pause())) != nil else { return }
        }
    }

    private func remaining(_ left: [DomainIdentity]?) async throws(HypervisorError) -> [DomainIdentity] {
        if let left { return left }
        return try await hypervisor.domains().filter(\.isLive).map { DomainIdentity(uuid: $0.uuid, name: $0.name) }
    }

    /// - Returns: false if the domain has to be checked again.
    private func look(_ domain: DomainIdentity, _ isKnown: @escaping @Sendable (TaskID) -> Bool) async -> Bool {
        do {
            guard let metadata = try await hypervisor.recoveryMetadata(domain),
                let orphan = DomainXML.recoveryDefinition(metadata: metadata), !isKnown(orphan.task)
            else { return true }
            // Queued ahead of any swap of the instance that is requested from now on.
            let ticket = instanceQueue.reserve(domain.uuid.lowercased(), isBegun: true)
            instanceQueue.fill(ticket) { await restore(domain, orphan, ticket) }
            return true
        } catch {
            if error.code == .noDomain || error.code == .operationInvalid { return true }
            environment.logger.warning("\(domain.name) cannot be checked for a lost definition: \(error)")
            return false
        }
    }

    private func restore(_ domain: DomainIdentity, _ orphan: DomainXML.RecoveryDefinition, _ ticket: InstanceQueue.Ticket) async {
        var backoff = Backoff(first: .seconds(1), longest: .seconds(60))
        while true {
            do {
                return try await restoreOnce(domain, orphan)
            } catch {
                environment.logger.error("the lost definition of \(domain.name) cannot be restored yet: \(error)")
                instanceQueue.giveUpSlot(ticket)
            }
            guard (try? await environment.clock.sleep(for: backoff.pause())) != nil else { return }
        }
    }

    private func restoreOnce(_ domain: DomainIdentity, _ orphan: DomainXML.RecoveryDefinition) async throws {
        guard let status = try await hypervisor.statusIfKnown(domain), status.isActive else { return }
        if !status.isPersistent {
            let live = try await hypervisor.xml(domain, .live)
            let definition = try DomainXML.takingPasswords(orphan.definition, from: live)
            let restorer = DefinitionRestorer(
                savedXML: definition, known: orphan.liveDevices, disk: orphan.disk, liveXML: live)
            let warnings = try await restorer.restore {
                try DomainXML.takingSource($0, disk: orphan.disk, from: live)
            } _: { (xml) throws(HypervisorError) in
                try await hypervisor.define(xml: xml)
            }
            environment.logger.warning(
                "restored the stored configuration of \(domain.name), lost in a swap that is not in the journal")
            for warning in warnings { environment.logger.warning("\(domain.name): \(warning)") }
        }
        if orphan.isAutostarted { try await hypervisor.setAutostart(domain) }
        let holder = environment.domainLocks.holder(of: orphan.disk, of: domain.uuid.lowercased())
        if holder == nil, try await hypervisor.job(of: orphan.disk, in: domain)?.isCopy == true {
            try await hypervisor.blockJobAbort(domain, disk: orphan.disk, pivot: false)
        }
        try await hypervisor.setRecoveryMetadata(domain, nil)
    }
}

extension Sequence where Element: Sendable {
    fileprivate func asyncFilter(_ isIncluded: (Element) async -> Bool) async -> [Element] {
        var result: [Element] = []
        for element in self where await isIncluded(element) { result.append(element) }
        return result
    }
}
