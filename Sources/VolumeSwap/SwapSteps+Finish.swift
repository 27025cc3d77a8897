import JSON
import Logging
import OrderedCollections

extension SwapSteps {
    /// Lets the guest use the whole size asked for.
    func grow(_ plan: SwapPlan) async -> SwapInput {
        guard let target = plan.resizeToBytes else { return .done }
        do {
            try await settle { () async throws(HypervisorError) in
                try await hypervisor.grow(plan.domain, disk: plan.disk, toBytes: target)
            } isDone: { () async throws(HypervisorError) in
                try await hypervisor.capacity(plan.domain, disk: plan.disk) >= target
            }
            return .done
        } catch {
            return .failed(failure(plan, "moved, but the disk could not be resized to \(target) bytes: \(error)"))
        }
    }

    /// Makes the stored configuration agree, reads both back, then lets go of the old volume.
    func store(_ plan: SwapPlan, _ events: HypervisorEvents) async -> SwapInput {
        do {
            let isActive: Bool
            do {
                isActive = try await checkLive(plan, events)
            } catch {
                // libvirt's live configuration is wrong then, and the stored one has to name what QEMU runs.
                if plan.wasPersistent, try await hypervisor.hasLostTrack(plan.domain, disk: plan.disk) { try await store(plan) }
                throw error
            }
            if plan.wasPersistent { try await store(plan) }
            if isActive, plan.wasPersistent, plan.strategy == .rebase {
                try await hypervisor.setRecoveryMetadata(plan.domain, nil)
            }
            if plan.resizeToBytes == nil, plan.newBytes.map({ $0 > plan.oldBytes }) ?? plan.usesSlice {
                let size = plan.newBytes.map { " of \($0) bytes" } ?? ""
                control.warn(
                    "the new volume\(size) is larger than the old one: the guest keeps \(plan.oldBytes) bytes until it is resized or started again"
                )
            }
            for remainder in await releaseOld(plan) { control.warn(remainder) }
            return .done
        } catch let failure as SwapFailure {
            return .failed(failure)
        } catch {
            return .failed(failure(plan, "moved, but the stored configuration could not be written: \(error)"))
        }
    }

    /// - Returns: false when the domain has stopped since the pivot: then only what is stored counts.
    private func checkLive(_ plan: SwapPlan, _ events: HypervisorEvents) async throws -> Bool {
        for attempt in 0..<3 {
            guard try await isActive(plan.domain) else { return false }
            if let live = try await liveOnDestination(plan) {
                if live.keptElements != plan.keptElements {
                    control.warn(
                        "libvirt changed the disk's description beside its source: \(difference(plan.keptElements, live.keptElements))"
                    )
                }
                return true
            }
            // The pivot was answered, but libvirt's own clean-up may still be under way: its event says when it is over.
            if attempt < 2 { await waitForCompletion(plan, events) }
        }
        throw failure(plan, "libvirt answered the pivot with success, but the running domain does not show the new volume")
    }

    /// The disk, when it runs on the new volume. libvirt changes that together with the end of the copy; a job on it is a later one.
    private func liveOnDestination(_ plan: SwapPlan) async throws -> DiskDescription? {
        let description = try await hypervisor.description(plan.domain, .live)
        guard let disk = description.disk(plan.disk), let location = disk.location else { return nil }
        return try await isDestination(location, plan) ? disk : nil
    }

    private func waitForCompletion(_ plan: SwapPlan, _ events: HypervisorEvents) async {
        let timer = Task {
            if (try? await Task.sleep(for: .seconds(2))) != nil { events.post(.look) }
        }
        defer { timer.cancel() }
        for await event in events.stream {
            switch event {
            case .blockJob(plan.disk, .completed, _), .look, .stopped: return
            default: continue
            }
        }
    }

    private func store(_ plan: SwapPlan) async throws {
        guard let savedXML = plan.savedXML else { throw failure(plan, "the domain's configuration was not saved") }
        var (isPersistent, current) = try await stored(plan)
        if try await !agrees(current, plan) {
            let base = isPersistent ? try await hypervisor.xml(plan.domain, .inactive) : savedXML
            let xml = try DomainXML.settingSource(base, disk: plan.disk, to: plan.destination)
            try await settle { () async throws(HypervisorError) in
                try await hypervisor.define(xml: xml)
            } isDone: { () async throws(HypervisorError) in
                false
            }
            (isPersistent, current) = try await stored(plan)
        }
        guard isPersistent, try await agrees(current, plan) else {
            throw failure(plan, "moved, but the stored configuration does not name the new volume after it was written")
        }
    }

    private func stored(_ plan: SwapPlan) async throws -> (isPersistent: Bool, DiskDescription?) {
        guard try await hypervisor.statusIfKnown(plan.domain)?.isPersistent == true else { return (false, nil) }
        return (true, try await hypervisor.description(plan.domain, .inactive).disk(plan.disk))
    }

    private func agrees(_ disk: DiskDescription?, _ plan: SwapPlan) async throws -> Bool {
        guard let disk, let location = disk.location, !disk.hasSlices, disk.format == plan.destination.format else {
            return false
        }
        return try await isDestination(location, plan)
    }

    func isDestination(_ location: VolumeLocation, _ plan: SwapPlan) async throws(HypervisorError) -> Bool {
        try await LocationComparison(hypervisor: hypervisor).isSame(location, plan.destination.location)
    }

    private func difference(_ before: [String], _ after: [String]) -> String {
        (before.filter { !after.contains($0) }.map { "-\($0)" } + after.filter { !before.contains($0) }.map { "+\($0)" }).joined(
            separator: " ")
    }

    private func releaseOld(_ plan: SwapPlan) async -> [String] {
        var secret: String?
        if case .network(let network) = plan.oldLocation, network.transport == "iscsi" {
            let uuid = CHAPSecret.uuid(network)
            secret = (try? await hypervisor.hasSecret(uuid: uuid)) == true ? uuid : nil
        }
        let isConnected = plan.oldLocation.path != nil && request.oldConnection.isHostAttached
        let release = VolumeRelease(hypervisor: hypervisor, connector: environment.connector)
        return await release.release(
            request.oldConnection, plan.oldLocation, isConnected: isConnected, madeSecret: secret)
    }

    /// Undoes what was done: the job is ended, the definition is back, the new volume is let go of.
    func rollBack(_ plan: SwapPlan?, _ cause: SwapFailure) async -> SwapInput {
        guard let plan else { return .done }
        do {
            try await endJob(plan)
            if plan.wasPersistent { try await restoreDefinition(plan) }
            let release = VolumeRelease(hypervisor: hypervisor, connector: environment.connector)
            var remains = await release.release(
                request.newConnection, plan.destination.location, isConnected: plan.isNewConnected, madeSecret: plan.madeSecret)
            if let mirror = try await Self.forgottenMirror(plan, hypervisor) { remains.append(mirror) }
            return remains.isEmpty ? .done : .failed(.rebaseFailed(remains.joined(separator: "; ")))
        } catch {
            logger.error("roll-back: \(error)")
            return .failed(.rebaseFailed("and the roll-back is not complete: \(error)"))
        }
    }

    private func endJob(_ plan: SwapPlan) async throws(HypervisorError) {
        guard try await isActive(plan.domain), try await hypervisor.blockJobInfo(plan.domain, disk: plan.disk)?.isCopy == true
        else { return }
        do {
            try await settle { () async throws(HypervisorError) in
                try await hypervisor.blockJobAbort(plan.domain, disk: plan.disk, pivot: false)
            } isDone: { () async throws(HypervisorError) in
                try await hypervisor.blockJobInfo(plan.domain, disk: plan.disk) == nil
            }
        } catch {
            // It may have ended by itself in between.
            guard try await isActive(plan.domain) else { return }
            if try await hypervisor.blockJobInfo(plan.domain, disk: plan.disk) != nil { throw error }
        }
    }

    /// libvirt drops a job that QEMU ended while libvirtd was dead, but keeps its `<mirror>`, and then refuses further jobs (error 83).
    ///
    /// - Returns: what to do about it; nil when there is none.
    static func forgottenMirror(_ plan: SwapPlan, _ hypervisor: any Hypervisor) async throws(HypervisorError) -> String? {
        guard let status = try await hypervisor.statusIfKnown(plan.domain), status.isActive,
            try await hypervisor.blockJobInfo(plan.domain, disk: plan.disk) == nil,
            try await hypervisor.description(plan.domain, .live).disk(plan.disk)?.mirror != nil
        else { return nil }
        return """
            libvirt still shows a <mirror> on disk \(plan.disk) of \(plan.domain.name) that no job belongs to, and refuses further \
            block jobs on it until the guest has been stopped and started
            """
    }

    private func isActive(_ domain: DomainIdentity) async throws(HypervisorError) -> Bool {
        try await hypervisor.statusIfKnown(domain)?.isActive ?? false
    }

    private func restoreDefinition(_ plan: SwapPlan) async throws {
        let (isPersistent, _) = try await stored(plan)
        if !isPersistent {
            guard let savedXML = plan.savedXML else { throw failure(plan, "the domain's configuration was not saved") }
            try await settle { () async throws(HypervisorError) in
                try await hypervisor.define(xml: savedXML)
            } isDone: { () async throws(HypervisorError) in
                try await hypervisor.status(plan.domain).isPersistent
            }
        }
        if plan.strategy == .rebase, try await isActive(plan.domain) {
            try await hypervisor.setRecoveryMetadata(plan.domain, nil)
        }
    }
}
