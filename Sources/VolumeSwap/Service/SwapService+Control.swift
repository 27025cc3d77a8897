import Synchronization

/// How a request names a task: by id, or by instance and disk.
package enum SwapSelector: Sendable {
    case task(TaskID)
    case disk(InstanceReference, String)
}

extension SwapService {
    /// For how long the answer to an abort waits for the outcome to be stored.
    private static let abortStoringLimit = Duration.seconds(2)

    /// `get_swap`
    package func status(_ selector: SwapSelector) async throws -> SwapStatus { status(of: try await find(selector)) }

    /// `list_swaps`, newest first.
    package func list(_ query: SwapQuery) async throws(JournalError) -> [SwapStatus] {
        try await environment.journal.records(query).map(status(of:))
    }

    /// `abort_swap`: ends what has not pivoted.
    package func abort(_ selector: SwapSelector) async throws -> SwapStatus {
        let record = try await find(selector)
        guard !record.isOver, let entry = active.withLock({ $0[record.id] }) else {
            throw SwapFailure.invalidInput("task \(record.id) has ended already: it is \(record.phase.publicState)")
        }
        guard entry.control.requestAbort() else {
            let phase = entry.control.phase
            let why = phase == .rollingBack ? "it is being rolled back already" : "it has reached its pivot and cannot be aborted"
            throw SwapFailure.invalidInput("task \(record.id) is \(phase.publicState): \(why)")
        }
        guard let ticket = entry.ticket, instanceQueue.withdraw(ticket) else { return try await status(.task(record.id)) }
        if let resumption = entry.resumption {
            // Before a restart it had begun something, which is undone now: its turn may come in hours.
            instanceQueue.runAside { [self] in await perform(record.id, entry.control, resumption) }
        } else {
            _ = entry.control.note("its abort is being stored")
            guard await concludeAborted(record) else {
                throw SwapFailure.rebaseFailed(
                    "task \(record.id) is not carried out any more, but that cannot be stored now: a restart before it can would carry it out; "
                        + "abort it again then", .ioError)
            }
        }
        return try await status(.task(record.id))
    }

    /// A disk that is full must not keep the answer to the abort: the outcome is stored when it can be.
    ///
    /// - Returns: whether it was stored at once.
    private func concludeAborted(_ record: SwapRecord) async -> Bool {
        environment.observer.ended(record, .failure(.abortedByRequest), duration: .zero, overhead: nil)
        let (outcomes, outcome) = AsyncStream<Bool>.makeStream()
        instanceQueue.runAside { [self] in
            await conclude(record, .failure(.abortedByRequest))
            outcome.yield(true)
        }
        return await withTaskGroup(of: Void.self) { group in
            group.addTask { [environment] in
                try? await environment.clock.sleep(for: SwapService.abortStoringLimit)
                outcome.yield(false)
            }
            defer { group.cancelAll() }
            for await isStored in outcomes { return isStored }
            return false
        }
    }

    /// `set_bandwidth`, MiB/s, 0 is unlimited.
    package func setBandwidth(_ selector: SwapSelector, mibS: Int64) async throws -> SwapStatus {
        let record = try await find(selector)
        guard !record.isOver, let entry = active.withLock({ $0[record.id] }) else {
            throw SwapFailure.invalidInput("task \(record.id) has ended already: it is \(record.phase.publicState)")
        }
        entry.control.requestBandwidth(mibS)
        return status(of: record)
    }

    private func find(_ selector: SwapSelector) async throws -> SwapRecord {
        switch selector {
        case .task(let id):
            guard let record = try await environment.journal.record(id) else {
                throw SwapFailure.invalidInput("task_id: no task \(id.text.prefix(80))")
            }
            return record
        case .disk(let instance, let disk):
            let query = SwapQuery(instanceKey: instance.key, disk: disk, limit: 1)
            guard let record = try await environment.journal.records(query).first else {
                throw SwapFailure.invalidInput("no swap of disk \(disk) of instance \(instance)")
            }
            return record
        }
    }

    private func status(of record: SwapRecord) -> SwapStatus {
        let control = record.isOver ? nil : active.withLock { $0[record.id]?.control }
        return SwapStatus(record, control: control, hypervisor: environment.hypervisor.kind)
    }
}
