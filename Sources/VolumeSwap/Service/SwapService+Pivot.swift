import Basics
import Synchronization

extension SwapService {
    /// Maximum time that `pivot_swap` waits, shorter than oslo.messaging's `rpc_response_timeout`.
    private static let pivotLimit = Duration.seconds(45)

    /// A task to pivot.
    private struct Held {
        let id: TaskID
        let control: SwapControl
        let domain: DomainIdentity

        var instance: String { domain.uuid.lowercased() }
    }

    /// `pivot_swap`: lets held swaps pivot, those of one instance as one group, one instance after another. A swap of an instance
    /// whose turn another has waits for it.
    ///
    /// - Returns: once all are pivoting, or have failed before; after 45 s in any case. Those that are `ready` then pivot by themselves.
    /// - Throws: ``SwapFailure`` of kind `invalidInput` if one is unknown or not held: then none pivots; of kind `volumeRebaseFailed`
    ///   if a group could not be pivoted: then its swaps stay held; ``JournalError``.
    package func pivot(_ ids: [TaskID]) async throws -> [SwapStatus] {
        let tasks = try await held(ids)
        let deadline = environment.clock.now + Self.pivotLimit
        var failures: [SwapFailure] = []
        var havePivoted = false
        for instance in Self.instances(of: tasks) where !Task.isCancelled {
            do throws(SwapFailure) {
                try await pivot(tasks.filter { $0.instance == instance }, by: deadline)
                havePivoted = true
            } catch {
                failures.append(error)
            }
        }
        if let first = failures.first {
            var failure = failures.dropFirst().reduce(first) { $0.adding($1.reason) }
            // It is one answer about guests on old and on new volumes.
            if havePivoted {
                failure = .rebaseFailed("not all instances were pivoted: \(failure.reason)", failure.code).keepingBoth
            }
            throw failure
        }
        var statuses: [SwapStatus] = []
        for task in tasks { statuses.append(try await status(.task(task.id))) }
        return statuses
    }

    private func held(_ ids: [TaskID]) async throws -> [Held] {
        var tasks: [Held] = []
        for id in ids {
            let (record, entry) = try await underWay(.task(id))
            guard !tasks.contains(where: { $0.id == record.id }) else { continue }
            let phase = entry.control.phase
            // One that pivots with others may be asked for again meanwhile.
            let isExpected = phase == .ready || (phase == .pivoting && entry.control.group?.isOver == false)
            guard entry.control.isHeld, isExpected, let plan = entry.control.plan ?? record.plan else {
                throw SwapFailure.invalidInput("task_ids: task \(record.id) is not held: it is \(phase.publicState)")
            }
            tasks.append(Held(id: record.id, control: entry.control, domain: plan.domain))
        }
        return tasks
    }

    /// In the order in which the tasks name them.
    private static func instances(of tasks: [Held]) -> [String] {
        tasks.reduce(into: []) { instances, task in
            if !instances.contains(task.instance) { instances.append(task.instance) }
        }
    }

    /// Pivots the tasks of one instance.
    private func pivot(_ tasks: [Held], by deadline: ContinuousClock.Instant) async throws(SwapFailure) {
        if tasks.count == 1, let task = tasks.first, task.control.group == nil {
            guard task.control.release() else { return }
            environment.journal.remark(task.id, "pivot requested")
            await until(deadline) { await task.control.untilPivoting() }
            return
        }
        let group = try group(of: tasks)
        for task in tasks { environment.journal.remark(task.id, "pivot requested, as a group of \(tasks.count)") }
        let verdict = Mutex<PivotGroup.Verdict?>(nil)
        await until(deadline) {
            let decision = await group.answer()
            verdict.withLock { $0 = decision }
        }
        guard case .standDown(let reason) = verdict.withLock({ $0 }) else { return }
        var failure = SwapFailure.rebaseFailed(
            "the disks of instance \(group.domain.uuid) were not pivoted as a group; those before their pivot are still held: \(reason)",
            .timedOut)
        failure.inUse = group.hasMoved ? .unknown : .old
        throw failure
    }

    /// Waits, at most until a time: then the rest must not wait for one whose instance is busy.
    private func until(_ deadline: ContinuousClock.Instant, _ wait: @escaping @Sendable () async -> Void) async {
        let left = deadline - environment.clock.now
        guard left > .zero else { return }
        await environment.clock.within(left, else: (), wait)
    }

    /// The group that these tasks pivot in, which is started unless it is under way.
    private func group(of tasks: [Held]) throws(SwapFailure) -> PivotGroup {
        guard let domain = tasks.first?.domain, let key = tasks.first?.instance else { throw .invalidInput("task_ids: empty") }
        let (group, isNew) = try pivotGroups.withLock { groups throws(SwapFailure) -> (PivotGroup, isNew: Bool) in
            if let known = groups[key], !known.isOver {
                if let other = tasks.first(where: { !known.members.contains($0.id) }) {
                    throw .invalidInput(
                        "task_ids: task \(other.id) is not in the group of instance \(key) that is being pivoted now; try again later"
                    )
                }
                return (known, false)
            }
            let group = PivotGroup(domain, tasks.map(\.id))
            if let other = tasks.first(where: { !$0.control.join(group) }) {
                for task in tasks { task.control.standDown(from: group) }
                throw .invalidInput("task_ids: task \(other.id) is no longer held, or is about to pivot by itself")
            }
            groups[key] = group
            return (group, true)
        }
        guard isNew else { return group }
        let members = tasks.map { PivotGroupRunner.Member(id: $0.id, control: $0.control) }
        instanceQueue.runAside { [self] in
            await PivotGroupRunner(environment: environment, group: group, members: members).run()
            pivotGroups.withLock { if $0[key] === group { $0[key] = nil } }
        }
        return group
    }
}
