import Basics
import Logging

extension SwapSteps {
    /// Undoes what was done: the definition is back, the job is ended, the new volume is let go of. Goes on until all of it is.
    ///
    /// A caller whose swap has not come to its pivot is answered before, when that takes long: the guest is on the old volume then,
    /// whatever else there is to do.
    func rollBack(_ plan: SwapPlan?, _ cause: SwapFailure) async -> SwapInput {
        guard let plan else { return .rolledBack(cause.inUse ?? .unknown, leftBehind: await releaseAttachment()) }
        return await withTaskGroup(of: SwapInput?.self) { group in
            group.addTask { [self] in await undo(plan, cause) }
            group.addTask { [self] in
                await answerInTime(plan, cause)
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

    /// Of a task that ends before it has looked at anything in this process.
    private func releaseAttachment() async -> [String] {
        guard control.marks.takeAttachment() else { return [] }
        return await SwapPreflight(environment: environment, request: request, task: record.id, isResumed: true).release()
    }

    /// Nobody is answered while the guest may move yet, or has been seen on the new volume; after a pivot, before it was seen on the old one.
    private func answerInTime(_ plan: SwapPlan, _ cause: SwapFailure) async {
        repeat {
            guard (try? await clock.sleep(for: environment.settings.rollBackPatience)) != nil else { return }
        } while plan.mayHavePivoted == true ? !control.marks.isSettledOnOld : control.marks.mayBeOnNew
        await host.answer(early(plan, cause))
    }

    private func early(_ plan: SwapPlan, _ cause: SwapFailure) -> SwapFailure {
        let remainder = """
            the copy of disk \(plan.disk) onto \(plan.destination.location) could not be ended yet\
            \(control.detail.map { " (\($0))" } ?? ""): pivotd goes on trying, and the new volume must not be used until then
            """
        var failure = cause.adding(remainder)
        failure.inUse = control.marks.lastInUse
        if failure.inUse == .unknown {
            failure = failure.adding("the disk has shown nothing since pivotd was restarted").keepingBoth
        }
        failure.leftBehind.append(remainder)
        return failure
    }

    /// - Returns: once nothing is left to be undone, or the disk turns out to be on the new volume.
    func undo(_ plan: SwapPlan, _ cause: SwapFailure) async -> SwapInput {
        var ender = CopyEnder(steps: self, plan: plan, endsForeign: false)
        var isDefined = false
        var sight: DiskSight?
        var backoff = Backoff(first: .milliseconds(100), longest: .seconds(30))
        await subscribe(plan.domain)
        while true {
            if !isDefined { isDefined = await tryRestoringDefinition(plan) }
            if sight == nil, await !isUndefining(plan) {
                sight = await ender.step()
                // An undefine that was given up may have been carried out since the definition was looked at.
                if sight != nil { isDefined = await tryRestoringDefinition(plan) }
            }
            if isDefined, let sight, await tryLeavingNew(plan, sight) { return await afterUndo(plan, cause, sight) }
            if Task.isCancelled { return .interrupted }
            await wait(plan.disk, atMost: backoff.pause())
        }
    }

    /// Whether an undefine of ours that nobody waits for any more may still be out: what the domain shows is not its last word then.
    private func isUndefining(_ plan: SwapPlan) async -> Bool {
        guard control.marks.mayBeUndefining else { return false }
        do {
            // It goes the way of the calls that wait for the domain, of which one is out at a time.
            _ = try await hypervisor.blockJobInfo(plan.domain, disk: plan.disk)
        } catch {
            if error.isPassing {
                note(error.description)
                return true
            }
        }
        control.marks.noteUndefine(isOut: false)
        return false
    }

    private func afterUndo(_ plan: SwapPlan, _ cause: SwapFailure, _ sight: DiskSight) async -> SwapInput {
        var leftBehind: [String] = []
        let inUse: VolumeInUse
        switch sight {
        case .onNew: return .foundOnNew
        case .stopped(stored: .new) where plan.isMirroredBack == nil: return .foundOnNew
        case .pivotedUnnoticed where cause.inUse != .unknown: return .pivotedUnnoticed(cause)
        case .pivotedUnnoticed: inUse = .unknown
        case .forgottenMirror:
            leftBehind.append(DiskInspector.adviceOnForgottenMirror(plan))
            inUse = .old
        case .stopped, .missing, .elsewhere, .strayCopy: inUse = .none
        case .onOld, .onOldUnverified, .foreignJob, .copying, .ending, .unnamedCopy, .unknown: inUse = .old
        }
        if plan.isUndefined { await removeMetadata(plan) }
        leftBehind += await releaseNew(plan, isInDoubt: cause.inUse == .unknown)
        return Task.isCancelled ? .interrupted : .rolledBack(inUse, leftBehind: leftBehind)
    }

    /// libvirt writes the stored configuration at a pivot before the live one: of a pivot that was undone it may keep the new volume there.
    ///
    /// - Returns: true when it does not, or not any more.
    private func tryLeavingNew(_ plan: SwapPlan, _ sight: DiskSight) async -> Bool {
        guard plan.isMirroredBack != nil, let savedXML = plan.savedXML, sight != .onNew, sight != .pivotedUnnoticed else {
            return true
        }
        do {
            guard let stored = try await storedConfiguration(plan),
                let location = try DomainDescription(xml: stored).disk(plan.disk)?.location,
                try await inspector.place(of: location, plan) == .new
            else { return true }
            if case .stopped = sight {
                guard plan.isMirroredBack == true else { return true }
                try await define(try DomainXML.takingSource(stored, disk: plan.disk, from: savedXML))
            } else {
                let live = try await hypervisor.xml(plan.domain, .live)
                try await define(try DomainXML.takingSource(stored, disk: plan.disk, from: live))
            }
            return true
        } catch {
            note("the stored configuration still names the new volume, which the disk has left again: \(error)")
            return false
        }
    }

    private func releaseNew(_ plan: SwapPlan, isInDoubt: Bool) async -> [String] {
        if isInDoubt, plan.isNewConnected || plan.madeSecret != nil {
            let what = [
                plan.isNewConnected ? "stays connected" : nil, plan.madeSecret == nil ? nil : "keeps its secret in libvirt",
            ]
            return ["\(plan.destination.location) \(what.compactMap(\.self).joined(separator: " and ")): the guest may run on it"]
        }
        return await VolumeRelease(hypervisor: hypervisor, connector: environment.connector).release(
            request.newConnection, plan.destination.location, isConnected: plan.isNewConnected, madeSecret: plan.madeSecret)
    }

    func removeMetadata(_ plan: SwapPlan) async {
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
        let isActive = try await hypervisor.statusIfKnown(plan.domain)?.isActive == true
        // A guest that went away while its disk was mirrored back: only the new volume is whole.
        if !isActive, plan.isMirroredBack == false {
            return try DomainXML.settingSource(xml, disk: plan.disk, to: plan.destination)
        }
        guard isActive,
            let location = try await hypervisor.description(plan.domain, .live).disk(plan.disk)?.location,
            try await inspector.place(of: location, plan) != .old
        else { return xml }
        return try DomainXML.takingSource(xml, disk: plan.disk, from: try await hypervisor.xml(plan.domain, .live))
    }

    /// A running domain whose definition is taken away is given a copy of it before: without that somebody else has removed it.
    private func hasTakenDefinition(_ plan: SwapPlan) async throws -> Bool {
        guard try await hypervisor.statusIfKnown(plan.domain)?.isActive == true else { return true }
        if try await hypervisor.recoveryMetadata(plan.domain) != nil { return true }
        // It may have gone away meanwhile.
        return try await hypervisor.statusIfKnown(plan.domain)?.isActive != true
    }

    /// Defines the domain again, which does not wait for the copy: libvirt lets one define while it runs.
    ///
    /// - Returns: true when the domain is persistent again.
    func tryRestoringDefinition(_ plan: SwapPlan) async -> Bool {
        do {
            guard plan.isUndefined, let savedXML = plan.savedXML else { return true }
            if try await hypervisor.statusIfKnown(plan.domain)?.isPersistent != true {
                guard control.marks.owesDefinition, try await hasTakenDefinition(plan) else { return true }
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
