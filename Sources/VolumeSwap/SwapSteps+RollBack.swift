import Logging

extension SwapSteps {
    /// Undoes what was done: the definition is back, the job is ended, the new volume is let go of. Goes on until all of it is.
    ///
    /// A caller whose swap has not come to its pivot is answered before, when that takes long: the guest is on the old volume then,
    /// whatever else there is to do.
    func rollBack(_ plan: SwapPlan?, _ cause: SwapFailure) async -> SwapInput {
        guard let plan else { return .rolledBack(cause.inUse ?? .unknown, leftBehind: []) }
        guard plan.mayHavePivoted != true else { return await undo(plan, cause) }
        return await withTaskGroup(of: SwapInput?.self) { group in
            group.addTask { [self] in await undo(plan, cause) }
            group.addTask { [self] in
                guard (try? await clock.sleep(for: environment.settings.rollBackPatience)) != nil else { return nil }
                await answer(early(plan, cause))
                return nil
            }
            for await input in group {
                guard let input else { continue }
                group.cancelAll()
                return input
            }
            return .interrupted
        }
    }

    private func early(_ plan: SwapPlan, _ cause: SwapFailure) -> SwapFailure {
        let remainder = """
            the copy of disk \(plan.disk) onto \(plan.destination.location) could not be ended yet\
            \(control.detail.map { " (\($0))" } ?? ""): pivotd goes on trying, and the new volume must not be used until then
            """
        var failure = cause.adding(remainder)
        failure.inUse = .old
        failure.leftBehind.append(remainder)
        return failure
    }

    /// - Returns: once nothing is left to be undone, or the disk turns out to be on the new volume.
    func undo(_ plan: SwapPlan, _ cause: SwapFailure) async -> SwapInput {
        var ender = CopyEnder(steps: self, plan: plan, endsForeign: false)
        var isDefined = !plan.isUndefined
        var sight: DiskSight?
        var backoff = Backoff(first: .milliseconds(100), longest: .seconds(30))
        await subscribe(plan.domain)
        while true {
            if !isDefined { isDefined = await tryRestoringDefinition(plan) }
            if sight == nil { sight = await ender.step() }
            if isDefined, let sight { return await afterUndo(plan, cause, sight) }
            if Task.isCancelled { return .interrupted }
            await wait(plan.disk, atMost: backoff.pause())
        }
    }

    private func afterUndo(_ plan: SwapPlan, _ cause: SwapFailure, _ sight: DiskSight) async -> SwapInput {
        var leftBehind: [String] = []
        let inUse: VolumeInUse
        switch sight {
        case .onNew, .stopped(stored: .new): return .foundOnNew
        case .lostTrack: return .lostTrack(cause)
        case .forgottenMirror:
            leftBehind.append(DiskInspector.adviceOnForgottenMirror(plan))
            inUse = .old
        case .stopped, .missing, .elsewhere: inUse = .none
        case .onOld, .foreignJob, .copying, .ending, .unnamedCopy, .unknown: inUse = .old
        }
        if plan.isUndefined { await removeMetadata(plan) }
        let release = VolumeRelease(hypervisor: hypervisor, connector: environment.connector)
        leftBehind += await release.release(
            request.newConnection, plan.destination.location, isConnected: plan.isNewConnected, madeSecret: plan.madeSecret)
        return Task.isCancelled ? .interrupted : .rolledBack(inUse, leftBehind: leftBehind)
    }

    private func removeMetadata(_ plan: SwapPlan) async {
        do {
            try await settle(for: .seconds(60)) { () async throws(HypervisorError) in
                guard try await hypervisor.statusIfKnown(plan.domain)?.isActive == true else { return }
                try await hypervisor.setRecoveryMetadata(plan.domain, nil)
            } isDone: { () async throws(HypervisorError) in
                false
            }
        } catch {
            logger.warning("pivotd's metadata stays on the domain: \(error)")
        }
    }

    /// A definition whose disk is where the domain runs it, wherever that is: the next start is to find the guest's writes.
    private func asRunning(_ xml: String, _ plan: SwapPlan) async throws -> String {
        guard try await hypervisor.statusIfKnown(plan.domain)?.isActive == true,
            let location = try await hypervisor.description(plan.domain, .live).disk(plan.disk)?.location,
            try await inspector.place(of: location, plan) != .old
        else { return xml }
        return try DomainXML.takingSource(xml, disk: plan.disk, from: try await hypervisor.xml(plan.domain, .live))
    }

    /// Defines the domain again, which does not wait for the copy: libvirt lets one define while it runs.
    ///
    /// - Returns: true when the domain is persistent again.
    private func tryRestoringDefinition(_ plan: SwapPlan) async -> Bool {
        do {
            guard let savedXML = plan.savedXML else { return true }
            if !control.hasDefined, try await hypervisor.statusIfKnown(plan.domain)?.isPersistent != true {
                try await define(try await asRunning(try await withDevicesOfNow(savedXML, plan), plan))
            }
            if plan.isAutostarted == true { try await hypervisor.setAutostart(plan.domain) }
            return true
        } catch {
            note("the domain's stored configuration could not be restored yet: \(error)")
            return false
        }
    }
}
