import Basics
import Logging
import Synchronization

/// Identifies a task by id, or by instance and disk.
package enum SwapSelector: Sendable {
    case task(TaskID)
    case disk(InstanceReference, String)
}

extension SwapService {
    /// How long a status waits for libvirt to tell an instance's other name.
    private static let lookupLimit = Duration.seconds(1)

    /// `get_swap`: the task's current state.
    ///
    /// - Throws: ``SwapFailure`` of kind `invalidInput` for an unknown task; ``JournalError`` if the journal cannot be read.
    package func status(_ selector: SwapSelector) async throws -> SwapStatus {
        await status(of: try await find(selector))
    }

    /// What has happened to a task, in order.
    ///
    /// - Throws: ``JournalError`` if the journal cannot be read.
    package func history(of id: TaskID) async throws(JournalError) -> [HistoryEntry] {
        try await environment.journal.history(id)
    }

    /// `list_swaps`, newest first.
    ///
    /// - Throws: ``JournalError`` if the journal cannot be read.
    package func list(_ query: SwapQuery) async throws(JournalError) -> [SwapStatus] {
        var statuses: [SwapStatus] = []
        for record in try await records(query) { statuses.append(await status(of: record)) }
        return statuses
    }

    /// The tasks of an instance, whether their requests name it or give its UUID.
    ///
    /// - Parameter includesRefused: whether those are among them that were refused at once, and so never in the instance's queue.
    private func records(_ query: SwapQuery, includesRefused: Bool = true) async throws(JournalError) -> [SwapRecord] {
        var query = query
        if !query.instanceKeys.isEmpty {
            let keys = await aliases(of: query.instanceKeys)
            query.instanceKeys = keys + (includesRefused ? keys.map(InstanceReference.refusedKey(ofKey:)) : [])
        }
        return try await environment.journal.records(query)
    }

    /// An instance's keys and its others; libvirt is asked once for each instance, if it answers in time.
    private func aliases(of keys: [String]) async -> [String] {
        let locks = environment.domainLocks
        let known = locks.aliases(of: keys)
        let names = known.compactMap(InstanceReference.name(ofKey:))
        let uuids = known.filter(InstanceReference.isUUID)
        guard names.isEmpty || uuids.isEmpty else { return known }
        let instance = InstanceReference(uuid: uuids.first, name: names.first)
        let domain = await environment.clock.within(Self.lookupLimit, else: nil) { [self] in
            try? await environment.hypervisor.lookup(instance)
        }
        guard let domain else { return known }
        locks.learn(domain.name, domain.uuid.lowercased())
        return locks.aliases(of: keys)
    }

    /// `abort_swap`: ends a task that has not pivoted.
    ///
    /// - Throws: ``SwapFailure`` of kind `invalidInput` if the task is unknown, over or past its pivot; ``JournalError``.
    package func abort(_ selector: SwapSelector) async throws -> SwapStatus {
        let (record, entry) = try await underWay(selector)
        // Before what follows from it, also in the history.
        environment.journal.remark(record.id, "abort requested")
        guard entry.control.requestAbort() else {
            let phase = entry.control.phase
            let why =
                phase == .rollingBack
                ? "it is already being rolled back" : "it has reached its pivot and can no longer be aborted"
            throw SwapFailure.invalidInput("task \(record.id) is \(phase.publicState): \(why)")
        }
        if entry.resumption == nil, let ticket = entry.ticket, instanceQueue.withdraw(ticket) {
            _ = entry.control.note("storing its abort")
            environment.observer.ended(record, .failure(.abortedByRequest), duration: .zero, overhead: nil)
            try await storingAbort(of: record) { [self] in
                if let delivery = await conclude(record, .failure(.abortedByRequest)) { instanceQueue.runAside(delivery) }
            }
        } else {
            if let resumption = entry.resumption, let ticket = entry.ticket {
                undoNow(record.id, entry.control, ticket, resumption)
            }
            // Else a restart before its roll-back is stored would carry it out.
            try await storingAbort(of: record)
        }
        return try await status(.task(record.id))
    }

    /// Has an aborted task undo what it began before a restart now, unless it runs already: its turn may be hours away.
    func undoNow(_ id: TaskID, _ control: SwapControl, _ ticket: InstanceQueue.Ticket, _ resumption: SwapEntry) {
        guard instanceQueue.withdraw(ticket) else { return }
        instanceQueue.runAside { [self] in await perform(id, control, resumption) }
    }

    /// Stores an abort when the journal can; a full disk must not delay the reply to it.
    ///
    /// - Parameter end: what follows once it is stored, or never can be.
    /// - Throws: ``SwapFailure`` if it was not stored in time.
    private func storingAbort(
        of record: SwapRecord, then end: @escaping @Sendable () async -> Void = {}
    ) async throws(SwapFailure) {
        let obstacle = Waiter<String?>()
        instanceQueue.runAside { [self] in
            await storeAbort(of: record, or: obstacle)
            await end()
            obstacle.resume(Task.isCancelled ? "pivotd is stopping" : nil)
        }
        let limit = environment.settings.abortStoringLimit
        let timer = environment.clock.schedule(after: limit) { obstacle.resume("the journal has not answered in time") }
        defer { timer.cancel() }
        guard let why = await obstacle.value(ifCancelled: "the call was given up") else { return }
        throw .rebaseFailed(
            "task \(record.id) is cancelled, but this cannot be stored now (\(why)): a restart before it can be stored would carry out the "
                + "task; in that case, abort it again", .ioError)
    }

    /// - Parameter obstacle: is told the journal's error if that does not pass soon; the slow sync of a good disk takes longer.
    private func storeAbort(of record: SwapRecord, or obstacle: Waiter<String?>) async {
        do throws(JournalError) {
            try await environment.journal.abort(record.id)
        } catch {
            environment.logger.error("journal: abort failed: \(error)", metadata: record.logMetadata)
            guard error.code == .unavailable else {
                obstacle.resume(error.message)
                return
            }
            let timer = environment.clock.schedule(after: Self.journalPatience) { obstacle.resume(error.message) }
            defer { timer.cancel() }
            await persist("abort", record.logMetadata) { [self] () async throws(JournalError) in
                try await environment.journal.abort(record.id)
            }
        }
    }

    /// How long an abort waits for a journal that has failed.
    private static let journalPatience = Duration.seconds(2)

    /// `set_bandwidth`: limits a task's copy, in MiB/s; 0 is unlimited.
    ///
    /// - Throws: ``SwapFailure`` of kind `invalidInput` if the task is unknown or over; ``JournalError``.
    package func setBandwidth(_ selector: SwapSelector, mibS: Int64) async throws -> SwapStatus {
        let (record, entry) = try await underWay(selector)
        environment.journal.remark(record.id, mibS == 0 ? "limit lifted by request" : "limited to \(mibS) MiB/s by request")
        entry.control.limit = mibS << 20
        environment.budget.changeCopy(record.id, limit: mibS << 20)
        // A held copy is in nobody's budget.
        if entry.control.isHeld { entry.control.requestSpeed(mibS << 20) }
        do {
            try await environment.journal.limit(record.id, mibS: mibS)
        } catch {
            let limit = "the limit of \(mibS) MiB/s holds, but would not after a restart"
            environment.logger.warning("\(limit): \(error)", metadata: record.logMetadata)
        }
        return await status(of: record)
    }

    /// A task that is not over, and its place in memory.
    func underWay(_ selector: SwapSelector) async throws -> (SwapRecord, Entry) {
        var record = try await find(selector)
        if !record.isOver {
            await arrival(of: record.id)
            if let entry = active.withLock({ $0[record.id] }) { return (record, entry) }
            record = try await find(.task(record.id))
        }
        let state = record.isOver ? "has already ended" : "is not under way"
        throw SwapFailure.invalidInput("task \(record.id) \(state): it is \(record.phase.publicState)")
    }

    private func find(_ selector: SwapSelector) async throws -> SwapRecord {
        switch selector {
        case .task(let id):
            for id in id.spellings {
                if let record = try await environment.journal.record(id) { return record }
            }
            throw SwapFailure.invalidInput("task_id: no task \(id.text.cut(to: 80))")
        case .disk(let instance, let disk):
            // One that has ended, or is being refused, must not hide one that is under way.
            for states in [SwapPhase.unfinishedStates, nil] {
                let query = SwapQuery(instanceKeys: instance.keys, disk: disk, states: states, limit: 1)
                if let record = try await records(query, includesRefused: states == nil).first { return record }
            }
            throw SwapFailure.invalidInput("no swap of disk \(disk) of instance \(instance)")
        }
    }

    private func status(of record: SwapRecord) async -> SwapStatus {
        var entry: Entry?
        if !record.isOver {
            await arrival(of: record.id)
            entry = active.withLock { $0[record.id] }
        }
        return SwapStatus(
            record, control: entry?.control, waitsFor: entry.flatMap(waitsFor), hypervisor: environment.hypervisor.kind)
    }

    func waitsFor(_ entry: Entry) -> String? {
        if let obstacle = entry.control.waitsFor {
            // A slot that is free is not given meanwhile.
            guard obstacle == InstanceQueue.Wait.slot.rawValue else { return obstacle }
            return (isPaused ? InstanceQueue.Wait.pause : isOffSchedule ? .schedule : .slot).rawValue
        }
        guard entry.control.phase == .accepted, let ticket = entry.ticket else { return nil }
        return instanceQueue.wait(of: ticket)?.rawValue
    }
}

extension TaskID {
    /// The ids that a caller may mean by this one: itself, and a UUID's in lower case, as the task of a `request_token` has it.
    fileprivate var spellings: [TaskID] {
        let lowercased = text.lowercased()
        return InstanceReference.isUUID(text) && lowercased != text ? [self, TaskID(lowercased)] : [self]
    }
}
