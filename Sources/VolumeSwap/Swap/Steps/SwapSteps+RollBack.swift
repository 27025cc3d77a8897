import Basics
import Logging

extension SwapSteps {
    /// Restores the definition, ends the job and releases the new volume; goes on until all of it is done.
    ///
    /// If that takes long, a swap that has not reached its pivot is answered before: its guest is on the old volume.
    func rollBack(_ plan: SwapPlan?, _ cause: SwapFailure) async -> SwapInput {
        environment.budget.endCopy(record.id)
        guard let plan else {
            let leftBehind = await releaseAttachment(cause)
            return Task.isCancelled ? .interrupted : .rolledBack(cause.inUse ?? .unknown, leftBehind: leftBehind)
        }
        return await beside({ [self] in await answerInTime(plan, cause) }) { [self] in await undo(plan, cause) }
    }

    /// For a task that ends before this process has inspected anything.
    private func releaseAttachment(_ cause: SwapFailure) async -> [String] {
        guard control.marks.takeAttachment() else { return [] }
        let preflight = SwapPreflight(environment: environment, request: request, task: record.id, isResumed: true)
        return await release(preflight, cause)
    }

    /// Undoes what a preflight began for the new volume. If that takes long, the caller is answered before.
    func release(_ preflight: SwapPreflight, _ cause: SwapFailure) async -> [String] {
        let early: @Sendable () async -> Void = { [self] in
            guard (try? await clock.sleep(for: environment.settings.rollBackPatience)) != nil else { return }
            var failure = cause.leaving("the new volume could not be disconnected from this host yet: pivotd keeps trying")
            failure.inUse = failure.inUse ?? .unknown
            await host.answer(failure)
        }
        return await beside(early) { await preflight.release() }
    }

    /// Does the work, and something else until it has ended.
    func beside<Value: Sendable>(
        _ other: @escaping @Sendable () async -> Void, _ work: @escaping @Sendable () async -> Value
    ) async -> Value {
        await withTaskGroup { group in
            group.addTask { await other() }
            defer { group.cancelAll() }
            return await work()
        }
    }

    /// Answers the caller after a while, but not while the guest may still move or was last seen on the new volume; after a
    /// pivot, only once it was seen on the old one.
    private func answerInTime(_ plan: SwapPlan, _ cause: SwapFailure) async {
        repeat {
            guard (try? await clock.sleep(for: environment.settings.rollBackPatience)) != nil else { return }
        } while plan.mayHavePivoted == true ? !control.marks.isSurelyOnOld : control.marks.mayBeOnNew
        await host.answer(early(plan, cause))
    }

    private func early(_ plan: SwapPlan, _ cause: SwapFailure) -> SwapFailure {
        let remainder = """
            the copy of disk \(plan.disk) onto \(plan.destination.location) could not be ended yet\
            \(control.detail.map { " (\($0))" } ?? ""): pivotd keeps trying; do not use the new volume until it has succeeded
            """
        var failure = cause.leaving(remainder)
        // Which volume has the guest's last writes, a look at where it runs now does not show.
        if cause.isInDoubt { return failure }
        failure.inUse = control.marks.lastInUse
        if failure.isInDoubt {
            failure = failure.adding("the disk has not been seen since pivotd restarted").keepingBoth
        }
        return failure
    }

    /// Undoes everything, or finds the disk on the new volume.
    func undo(_ plan: SwapPlan, _ cause: SwapFailure) async -> SwapInput {
        var ender = CopyEnder(steps: self, plan: plan, endsForeign: false)
        var isDefined = false
        var sight: DiskSight?
        var backoff = Backoff(first: .milliseconds(100), longest: .seconds(30))
        await subscribe(plan.domain)
        // Only with its turn may it define the domain; its own copy it ends at once.
        if plan.isUndefined || plan.isMirroredBack != nil, await !takeTurn(plan) { return .interrupted }
        while true {
            if !isDefined { isDefined = await tryRestoringDefinition(plan) }
            if sight == nil, await !isUndefining(plan) {
                sight = await ender.step()
                // An abandoned undefine may have been carried out since the definition was checked.
                if sight != nil { isDefined = await tryRestoringDefinition(plan) }
            }
            if isDefined, let sight, await tryLeavingNew(plan, sight) { return await afterUndo(plan, cause, sight) }
            if Task.isCancelled { return .interrupted }
            await wait(plan.disk, atMost: backoff.pause())
        }
    }

    /// Whether an abandoned undefine of ours may still be pending, so that the domain's state is not final.
    private func isUndefining(_ plan: SwapPlan) async -> Bool {
        guard control.marks.mayBeUndefining else { return false }
        do {
            // This call queues behind those that wait for the domain, one at a time.
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
        case .onNew where !cause.isInDoubt || plan.mayHavePivoted == true: return .foundOnNew
        case .stopped(stored: .new) where plan.isMirroredBack == nil && plan.mayHavePivoted == true: return .foundOnNew
        case .onNew: inUse = .unknown
        case .stopped(stored: .new) where plan.isMirroredBack == nil:
            inUse = .unknown
            if !cause.isInDoubt { leftBehind.append(plan.namedWithoutPivot.reason) }
        case .pivotedUnnoticed where !cause.isInDoubt: return .pivotedUnnoticed(cause)
        case .pivotedUnnoticed: inUse = .unknown
        case .forgottenMirror:
            leftBehind.append(DiskInspector.adviceOnForgottenMirror(plan))
            inUse = .old
        case .stopped, .missing, .elsewhere, .strayCopy: inUse = .none
        case .restartedOnOld where plan.mayHavePivoted == true:
            if !cause.reason.contains(SwapFailure.keepBoth) { leftBehind.append(SwapFailure.startedAgain) }
            inUse = .unknown
        case .onOld, .onOldUnverified, .restartedOnOld, .foreignJob, .copying, .ending, .unnamedCopy, .unknown: inUse = .old
        }
        if plan.isUndefined { await removeMetadata(plan) }
        leftBehind += await releaseNew(plan, isInDoubt: (cause.isInDoubt || inUse == .unknown) && sight != .restartedOnOld)
        return Task.isCancelled ? .interrupted : .rolledBack(inUse, leftBehind: leftBehind)
    }

    /// Resets the stored configuration's source. libvirt writes it first, so after an undone pivot it may name the new volume.
    ///
    /// - Returns: true if it does not, or no longer does.
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
            note("the stored configuration still names the new volume, which the disk has left: \(error)")
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
        return await environment.release.release(
            request.newConnection, plan.destination.location, isConnected: plan.isNewConnected, madeSecret: plan.madeSecret)
    }

    func removeMetadata(_ plan: SwapPlan) async {
        do {
            try await ensure(for: .seconds(60)) { () async throws(HypervisorError) in
                guard try await hypervisor.statusIfKnown(plan.domain)?.isActive == true else { return }
                try await hypervisor.setRecoveryMetadata(plan.domain, nil)
            }
        } catch {
            logger.warning("pivotd's metadata stays on the domain: \(error)")
        }
    }

    /// The definition with the disk where the domain runs it, so that the next start finds the guest's writes.
    private func asRunning(_ xml: String, _ plan: SwapPlan) async throws -> String {
        let isActive = try await hypervisor.statusIfKnown(plan.domain)?.isActive == true
        // The guest went away while its disk was mirrored back: only the new volume is complete.
        if !isActive, plan.isMirroredBack == false {
            return try DomainXML.settingSource(xml, disk: plan.disk, to: plan.destination)
        }
        guard isActive,
            let location = try await hypervisor.description(plan.domain, .live).disk(plan.disk)?.location,
            try await inspector.place(of: location, plan) != .old
        else { return xml }
        return try DomainXML.takingSource(xml, disk: plan.disk, from: try await hypervisor.xml(plan.domain, .live))
    }

    /// Whether pivotd removed the definition. If that is not known, the running domain shows it: pivotd first puts a copy on it. Without one,
    /// someone else did.
    private func hasTakenDefinition(_ plan: SwapPlan) async throws -> Bool {
        // The guest that has the copy may have ended, and another been created.
        if control.marks.surelyOwesDefinition { return true }
        guard try await hypervisor.statusIfKnown(plan.domain)?.isActive == true else { return true }
        if try await hypervisor.recoveryMetadata(plan.domain) != nil { return true }
        // It may have stopped meanwhile.
        return try await hypervisor.statusIfKnown(plan.domain)?.isActive != true
    }

    /// Defines the domain again. libvirt allows this while a copy runs, so it does not wait for one.
    ///
    /// - Returns: true if the domain is persistent again.
    func tryRestoringDefinition(_ plan: SwapPlan) async -> Bool {
        do {
            guard plan.isUndefined, let savedXML = plan.savedXML else { return true }
            if try await hypervisor.statusIfKnown(plan.domain)?.isPersistent != true {
                guard control.marks.owesDefinition, try await hasTakenDefinition(plan) else { return true }
                try await defineAgain(savedXML, plan) { try await asRunning($0, plan) }
            }
            try await restoreAutostart(plan)
            return true
        } catch {
            note("the domain's stored configuration could not be restored yet: \(error)")
            return false
        }
    }

    /// Has the domain start with the host again, unless its guest has migrated: two hosts would run it then.
    func restoreAutostart(_ plan: SwapPlan) async throws(HypervisorError) {
        guard plan.isAutostarted == true else { return }
        let isHere = try await hypervisor.statusIfKnown(plan.domain)?.isActive == true
        // The event of its end may still arrive.
        if !isHere, !events.hasMigrated { try? await clock.sleep(for: .seconds(1)) }
        if isHere || !events.hasMigrated { return try await hypervisor.setAutostart(plan.domain) }
        let remainder = """
            \(plan.domain.name) has migrated to another host: its stored configuration is kept here too, without autostart; undefine it \
            unless the guest is to come back
            """
        control.marks.leave([remainder])
    }
}
