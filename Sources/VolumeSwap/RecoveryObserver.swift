/// Looks at libvirt for ``Recovery``, and restores what a lost journal left behind.
struct RecoveryObserver {
    let environment: SwapEnvironment

    private var hypervisor: any Hypervisor { environment.hypervisor }

    func observe(_ plan: SwapPlan) async throws -> SwapObservation {
        guard let status = try await hypervisor.statusIfKnown(plan.domain) else {
            return SwapObservation(domain: .missing, live: nil, stored: nil, job: .none)
        }
        let stored = status.isPersistent ? try await place(plan, .inactive)?.place : nil
        guard status.isActive else { return SwapObservation(domain: .stopped, live: nil, stored: stored, job: .none) }
        // Asked before the configuration is read: a libvirtd that has just come back answers when it has read the job's end in QEMU.
        let info = try await hypervisor.blockJobInfo(plan.domain, disk: plan.disk)
        var live = try await place(plan, .live)
        var job = Self.job(info, live)
        if job == .none, live?.place == .old {
            if try await hypervisor.hasLostTrack(plan.domain, disk: plan.disk) { job = .lost }
            // While QEMU was asked, libvirt may have noted a pivot.
            live = try await place(plan, .live)
        }
        return SwapObservation(domain: .active, live: live?.place ?? .other, stored: stored, job: job)
    }

    private static func job(_ info: BlockJobInfo?, _ live: Sight?) -> SwapObservation.Job {
        guard let info else { return .none }
        switch live?.mirror {
        case .new: return .ours
        case .old, .other: return .other
        case nil: return info.isCopy ? .unnamed : .other
        }
    }

    /// Where a disk is, and where its copy goes.
    private typealias Sight = (place: SwapObservation.Place, mirror: SwapObservation.Place?)

    private func place(_ plan: SwapPlan, _ view: XMLView) async throws -> Sight? {
        let description = try DomainDescription(xml: try await hypervisor.xml(plan.domain, view))
        guard let disk = description.disk(plan.disk), let location = disk.location else { return nil }
        var mirror: SwapObservation.Place?
        if let copy = disk.mirror { mirror = try await place(of: copy.location, plan) }
        return (try await place(of: location, plan), mirror)
    }

    private func place(of location: VolumeLocation, _ plan: SwapPlan) async throws(HypervisorError) -> SwapObservation.Place {
        let comparison = LocationComparison(hypervisor: hypervisor)
        if try await comparison.isSame(location, plan.destination.location) { return .new }
        return try await comparison.isSame(location, plan.oldLocation) ? .old : .other
    }

    /// Domains that a swap undefined and that no journal knows of: their definition travels with them.
    ///
    /// - Parameter isKnown: whether the journal will take care of a task.
    /// - Returns: the names of the domains that are persistent again.
    func restoreOrphans(isKnown: (TaskID) -> Bool) async throws -> [String] {
        var restored: [String] = []
        for domain in try await hypervisor.domains() {
            let identity = DomainIdentity(uuid: domain.uuid, name: domain.name)
            guard try await hypervisor.statusIfKnown(identity)?.isActive == true,
                let metadata = try await hypervisor.recoveryMetadata(identity),
                let orphan = DomainXML.recoveryDefinition(metadata: metadata), !isKnown(orphan.task)
            else { continue }
            if try await !hypervisor.status(identity).isPersistent {
                if try await hypervisor.blockJobInfo(identity, disk: orphan.disk)?.isCopy == true {
                    try await hypervisor.blockJobAbort(identity, disk: orphan.disk, pivot: false)
                }
                let live = try await hypervisor.xml(identity, .live)
                try await hypervisor.define(xml: try DomainXML.takingSource(orphan.definition, disk: orphan.disk, from: live))
                restored.append(domain.name)
            }
            try await hypervisor.setRecoveryMetadata(identity, nil)
        }
        return restored
    }
}
