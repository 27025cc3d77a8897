import Basics
import JSON
import Logging
import Synchronization

extension SwapService {
    /// Maximum number of outcomes owed from before a restart that are delivered at once.
    private static let deliveriesAtOnce = 256

    /// Takes over the journal's unfinished tasks, restoring their queue places and reservations. Call before consuming starts.
    ///
    /// Does not ask the hypervisor: each task is read and checked when its turn comes.
    ///
    /// - Parameter onTask: called for each task before it goes on.
    /// - Returns: the number of tasks taken over.
    /// - Throws: ``JournalError`` if the journal cannot be read.
    @discardableResult
    package func recover(onTask: (UnfinishedTask) -> Void = { _ in }) async throws(JournalError) -> Int {
        let unfinished = try await environment.journal.unfinished()
        try await recoverStrays()
        let groups = InterruptedGroups(unfinished)
        var owed: [TaskID] = []
        for task in unfinished {
            onTask(task)
            switch task {
            case .begun(let record): takeUp(record, groups)
            case .waiting(let task): takeUp(task)
            case .over(let id, let phase):
                active.withLock { $0[id] = Entry(control: SwapControl(phase: phase), isHandedOut: true) }
                owed.append(id)
            }
        }
        handOut(owed)
        return unfinished.count
    }

    /// Before any task runs: none may write to a volume on which a guest runs without libvirt's knowledge.
    private func recoverStrays() async throws(JournalError) {
        let query = SwapQuery(isStranded: true, limit: StrayGuests.limit)
        for record in try await environment.journal.records(query).reversed() {
            if case .failure(let failure)? = record.outcome { noteStray(record, failure) }
        }
    }

    /// Remembers the disk of a task that has left it on the new volume without libvirt's knowledge.
    func noteStray(_ record: SwapRecord, _ failure: SwapFailure) {
        guard failure.course?.isStranded == true, let domain = failure.course?.instanceUUID else { return }
        let volume = record.facts.newVolume(mountPointBase: environment.settings.volumes.mountPointBase)
        environment.strays.note(.init(task: record.id, domain: domain, disk: record.disk, volume: volume))
    }

    private func handOut(_ owed: [TaskID]) {
        let workers = min(owed.count, Self.deliveriesAtOnce)
        for first in 0..<workers {
            instanceQueue.runAside { [self] in
                for index in stride(from: first, to: owed.count, by: workers) where !Task.isCancelled {
                    guard let record = await record(owed[index]), let outcome = record.outcome else {
                        forget(owed[index])
                        continue
                    }
                    await handOut(record, outcome)
                }
            }
        }
    }

    private func queue(of id: TaskID, _ instanceKey: String) -> String {
        // One that was about to be refused is, at once: it is not in its instance's order.
        let hasQueue = !instanceKey.isEmpty && !InstanceReference.isRefused(key: instanceKey)
        return hasQueue ? environment.domainLocks.queue(for: instanceKey) : "task:\(id)"
    }

    private func takeUp(_ task: UnfinishedTask.Waiting) {
        let ticket = instanceQueue.reserve(queue(of: task.id, task.instanceKey), disk: task.disk, since: task.acceptedAt)
        environment.reservations.intend(VolumeIdentity(ids: task.newVolumeIDs), for: task.id, number: ticket.number)
        let control = SwapControl(phase: task.phase)
        // Without a plan, nothing was pivoted, whatever its phase.
        if task.isAbortRequested { control.refuse(.abortedByRequest) }
        enqueue(task.id, control, nil, ticket, .again)
        active.withLock { $0[task.id]?.callers = task.callers }
        if task.isAbortRequested { undoNow(task.id, control, ticket, .again) }
    }

    private func takeUp(_ record: SwapRecord, _ groups: InterruptedGroups) {
        var key = queue(of: record.id, record.instanceKey)
        var entry = SwapEntry.again
        if let plan = record.plan {
            key = plan.domain.uuid.lowercased()
            environment.domainLocks.learn(plan.domain.name, key)
            entry = resumption(record, plan, groups)
            if entry.isAside {
                environment.domainLocks.hold(key, disk: plan.disk, for: record.id)
            } else {
                environment.domainLocks.take(key, for: record.id)
            }
            let ids = (try? SwapRequest(resuming: record.args, plan))?.newVolumeIDs ?? []
            environment.reservations.keep(plan.destination.location, ids: ids, for: record.id)
        }
        let ticket = instanceQueue.reserve(
            key, disk: record.disk, since: record.acceptedAt, began: record.startedAt, isBegun: true)
        guard case .failure(let failure)? = record.outcome else { return enqueue(record, ticket, entry) }
        // Answered before its roll-back was over.
        active.withLock { active in
            active[record.id] = Entry(
                control: SwapControl(phase: record.phase), ticket: ticket, record: record, early: .given(failure))
        }
        enqueue(record, ticket, entry)
        instanceQueue.runAside { [self] in await deliverEarly(record, failure) }
    }

    /// How a task with a plan goes on. One that was answered as failed is rolled back, whatever phase could be stored.
    private func resumption(_ record: SwapRecord, _ plan: SwapPlan, _ groups: InterruptedGroups) -> SwapEntry {
        var (plan, phase) = (plan, record.phase)
        if let mark = plan.pivotGroup {
            plan.pivotGroup = nil
            if mark.pauses { resume(plan.domain) }
            if groups.isHeldAgain(mark) {
                phase = .ready
            } else {
                plan.warnings.append(InterruptedGroups.warning)
            }
        }
        guard case .failure(let told)? = record.outcome else { return .resume(phase, plan) }
        // Its guest has moved, and only its definition is still owed.
        if told.code == .configurationFailed { return .resume(.storing, plan) }
        plan.failure = plan.failure ?? told.withoutRemainder
        return .resume(.rollingBack, plan)
    }

    /// Resumes a guest that the ended process may have paused. Until then none of its tasks goes on.
    private func resume(_ domain: DomainIdentity) {
        let (uuid, id) = (domain.uuid.lowercased(), TaskID("resumption of \(domain.uuid.lowercased())"))
        let isFirst = resumptions.withLock { resumptions in
            guard resumptions[uuid] == nil else { return false }
            resumptions[uuid] = Waiters()
            return true
        }
        guard isFirst else { return }
        environment.domainLocks.take(uuid, for: id)
        instanceQueue.runAside { [self] in
            environment.logger(of: domain).notice(
                "pivotd ended while disks of a guest pivoted as a group: the guest is resumed if it is paused")
            guard await GuestPause(environment: environment, domain: domain).end() else { return }
            environment.domainLocks.release(id)
            resumptions.withLock { resumptions in
                var waiters = resumptions.removeValue(forKey: uuid)
                waiters?.resumeAll(())
            }
        }
    }

    /// Waits until a guest that the ended process may have paused runs again, or for cancellation.
    func untilResumed(_ uuid: String) async {
        await resumptions.withLock { $0[uuid]?.add() }?.value(ifCancelled: ())
    }

    /// Restores domains left undefined by swaps that are not in the journal, or over. Call once the hypervisor can be reached.
    package func restoreOrphans() async {
        await OrphanKeeper(environment: environment, instanceQueue: instanceQueue).run { [self] id in
            active.withLock { $0[id].map { !$0.isHandedOut } ?? false }
        }
    }
}
