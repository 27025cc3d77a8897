import Basics
import Foundation
import JSON
import Logging
import Synchronization

/// Accepts swaps, runs them one at a time per instance, journals them and delivers their outcomes.
package final class SwapService: Sendable {
    /// Publishes an outcome's reply. Returns once it is confirmed or given up; nil if it is still owed.
    package typealias Delivery = @Sendable (SwapRecord, ReplyTo, SwapOutcome) async -> ReplyFate?

    /// The state of a reply that is sent before the task is over.
    enum EarlyAnswer {
        case none
        /// Being delivered.
        case given(SwapFailure)
        /// Delivered or given up.
        case settled(SwapFailure)

        var failure: SwapFailure? {
            switch self {
            case .none: nil
            case .given(let failure), .settled(let failure): failure
            }
        }
    }

    /// An unfinished task in memory.
    struct Entry {
        var control: SwapControl
        /// nil if only the outcome remains to be delivered.
        var ticket: InstanceQueue.Ticket?
        /// nil if the queue is so long that the record is read again when its turn comes.
        var record: SwapRecord?
        /// The callers that get heartbeats until the record is read.
        var callers: [ReplyTo] = []
        /// Set when only its replies remain.
        var isHandedOut = false
        var early = EarlyAnswer.none
        /// Where a task from before a restart resumes; it may have begun something.
        var resumption: SwapEntry?
        /// Set when only the early reply remains to be delivered.
        var isConcluded = false
        /// Callers that have asked for the same task since.
        var later = LaterCallers()
    }

    /// Maximum number of queued records in memory; the rest wait in the journal alone.
    private static let recordsInMemory = 1000

    /// What every swap works with: hypervisor, journal, settings.
    package let environment: SwapEnvironment
    let instanceQueue: InstanceQueue
    let deliver: Delivery
    let active = Mutex<[TaskID: Entry]>([:])
    let arrivals = Mutex(Arrivals())
    /// Swaps that are being pivoted as a group, by their domain's UUID.
    let pivotGroups = Mutex<[String: PivotGroup]>([:])
    /// Who waits for guests to be resumed that a crash may have left paused, by the domain's UUID.
    let resumptions = Mutex<[String: Waiters<Void>]>([:])
    let recent = RecentSwaps()

    /// - Parameter deliver: publishes each outcome.
    package init(environment: SwapEnvironment, deliver: @escaping Delivery) {
        self.environment = environment
        self.deliver = deliver
        let clock = environment.clock
        instanceQueue = InstanceQueue(limit: environment.settings.maxConcurrentSwaps) { clock.date }
        environment.budget.onPause { [weak instanceQueue] in instanceQueue?.isOffSchedule = $0 }
    }

    /// Runs accepted swaps until cancelled. Then copies are left to the hypervisor, and pivots under way are finished.
    package func run() async { await instanceQueue.run() }

    /// Number of instances with a running swap.
    package var running: Int { instanceQueue.running - waitingForLimits }
    /// Number of tasks whose turn has come, but no place under the `limits`, or no slot since.
    private var waitingForLimits: Int { environment.budget.waiting + instanceQueue.returning }
    /// Number of tasks waiting for their turn.
    package var queued: Int { instanceQueue.depth - running - instanceQueue.holding }
    /// Number of tasks that are held in step, until `pivot_swap`.
    package var held: Int { instanceQueue.holding }
    /// Seconds since the swap that has waited longest was accepted, and since the one that has run longest began; 0 without any.
    package var oldest: (queued: Double, running: Double) {
        let (oldest, now) = (instanceQueue.oldest, environment.clock.date)
        return (
            max(0, oldest.waiting.map(now.timeIntervalSince) ?? 0), max(0, oldest.running.map(now.timeIntervalSince) ?? 0)
        )
    }
    /// Number of swaps answered before their roll-back was over.
    package var pendingRollBacks: Int {
        active.withLock { active in active.values.count { $0.early.failure != nil && !$0.isConcluded } }
    }

    func enqueue(_ record: SwapRecord, _ ticket: InstanceQueue.Ticket, _ entry: SwapEntry) {
        let volume = record.facts.newVolume(mountPointBase: environment.settings.volumes.mountPointBase)
        environment.reservations.intend(volume, for: record.id, number: ticket.number)
        let control = SwapControl(phase: entry.phase ?? record.phase)
        // A task answered as failed before it had a plan only releases what it may have attached.
        if case .failure(let told) = record.outcome, record.plan == nil { control.refuse(told.withoutRemainder) }
        // Not once a pivot may have been requested.
        let isAborted = record.isAbortRequested && control.requestAbort()
        enqueue(record.id, control, record, ticket, entry)
        if isAborted { undoNow(record.id, control, ticket, entry) }
    }

    /// - Parameter record: nil to read it when its turn comes.
    func enqueue(
        _ id: TaskID, _ control: SwapControl, _ record: SwapRecord?, _ ticket: InstanceQueue.Ticket, _ entry: SwapEntry
    ) {
        let resumption: SwapEntry? = if case .fresh = entry { nil } else { entry }
        active.withLock { active in
            let isHeld = active.count < SwapService.recordsInMemory
            let early = active[id]?.early ?? .none
            active[id] = Entry(
                control: control, ticket: ticket, record: isHeld ? record : nil, early: early, resumption: resumption)
        }
        if entry.isAside {
            _ = control.hold()
            if entry.isReleased { _ = control.release() }
        }
        guard entry.isAside, let disk = record?.disk else {
            return instanceQueue.fill(ticket) { [self] in await perform(id, control, entry) }
        }
        instanceQueue.resumeHeld(ticket, disk: disk) { [self] in
            // Only its plan in the journal shows that the guest may be paused.
            await untilResumed(ticket.key)
            await perform(id, control, entry)
        }
    }

    /// Drops a task that can no longer be read, and reports that to a waiting caller.
    func forget(_ id: TaskID) {
        guard !Task.isCancelled, let callers = active.withLock({ $0.removeValue(forKey: id) })?.callers else { return }
        environment.reservations.release(id)
        let record = SwapRecord(id: id, instanceKey: "", disk: "", args: [:], replyTo: nil, acceptedAt: environment.clock.date)
        for caller in callers {
            instanceQueue.runAside { [self] in _ = await deliver(record, caller, .failure(.unreadable(id))) }
        }
    }

    func perform(_ id: TaskID, _ control: SwapControl, _ entry: SwapEntry) async {
        guard var record = await record(id) else { return forget(id) }
        // Held until the outcome is stored, so that what it states about the disk is still true then.
        defer {
            environment.domainLocks.release(id)
            environment.budget.leave(id)
        }
        if let limit = record.bandwidthMiBs { control.limit = control.limit ?? limit << 20 }
        let outcome: SwapOutcome?
        do {
            let request = try request(of: record)
            if !entry.isFresh { environment.journal.remark(id, "pivotd was restarted") }
            await admit(id, request, control, entry)
            // Its time-out does not run while it waits, nor for what a restart has it do again.
            if record.startedAt == nil || record.plan == nil { record.startedAt = environment.clock.date }
            let started = record
            let host = SwapHost(
                answer: { [self] in await answerEarly(started, $0) }, giveUpSlot: { [self] in giveUpSlot(started.id) },
                giveUpTurn: { [self] in giveUpTurn(started) })
            let runner = SwapRunner(environment: environment, record: record, request: request, control: control, host: host)
            outcome = await runner.run(from: entry)
        } catch {
            environment.observer.ended(record, .failure(error), duration: .zero, overhead: nil)
            outcome = .failure(error)
        }
        if let outcome, let delivery = await conclude(record, outcome) { instanceQueue.runNext(delivery) }
    }

    /// Waits, without its slot, until the `limits` leave room for a swap between its volumes, or it is aborted.
    private func admit(_ id: TaskID, _ request: SwapRequest, _ control: SwapControl, _ entry: SwapEntry) async {
        let isBegun = if case .resume = entry { true } else { false }
        guard let wait = environment.budget.admit(id, environment.budgetVolumes(of: request), isBegun: isBegun) else { return }
        control.waitsFor = "limit: \(wait.rule)"
        environment.journal.remark(id, "waits for a place under the limit \(wait.rule)")
        giveUpSlot(id)
        await orAborted(control) { await wait.waiter.value(ifCancelled: ()) }
        control.waitsFor = InstanceQueue.Wait.slot.rawValue
        if let ticket = active.withLock({ $0[id]?.ticket }) {
            await orAborted(control) { [instanceQueue] in await instanceQueue.takeSlot(ticket) }
        }
        control.waitsFor = nil
    }

    /// Waits for something, or for an abort: an aborted swap needs neither a place nor a slot to end.
    private func orAborted(_ control: SwapControl, _ wait: @escaping @Sendable () async -> Void) async {
        await first(of: [wait, { @Sendable in await control.untilAborted() }])
    }

    private func giveUpTurn(_ record: SwapRecord) {
        guard let entry = active.withLock({ $0[record.id] }), let plan = entry.control.plan else { return }
        let uuid = plan.domain.uuid.lowercased()
        environment.domainLocks.hold(uuid, disk: plan.disk, for: record.id)
        if let ticket = entry.ticket { instanceQueue.giveUpTurn(ticket, holding: record.disk, of: uuid) }
    }

    private func giveUpSlot(_ id: TaskID) {
        if let ticket = active.withLock({ $0[id]?.ticket }) { instanceQueue.giveUpSlot(ticket) }
    }

    /// Answers the caller with a failure while the roll-back goes on. The task keeps its place; this will be its outcome.
    private func answerEarly(_ record: SwapRecord, _ failure: SwapFailure) async {
        let isFirst = active.withLock { active in
            guard case .none? = active[record.id]?.early else { return false }
            active[record.id]?.early = .given(failure)
            return true
        }
        guard isFirst else { return }
        giveUpSlot(record.id)
        let stored: Void? = await persist("answer", record.logMetadata) { [self] () async throws(JournalError) in
            try await environment.journal.answer(record.id, .failure(failure))
        }
        guard stored != nil else {
            // The roll-back has ended meanwhile, and its outcome is delivered instead.
            return active.withLock { $0[record.id]?.early = .none }
        }
        environment.journal.remark(record.id, "answered as failed; the roll-back goes on")
        var answered = record
        answered.outcome = .failure(failure)
        let told = answered
        instanceQueue.runAside { [self] in await deliverEarly(told, failure) }
    }

    func deliverEarly(_ record: SwapRecord, _ failure: SwapFailure) async {
        guard let answered = await answerCallers(record, .failure(failure)) else { return }
        if let fate = answered.first {
            await persist("answer's delivery", record.logMetadata) { [self] () async throws(JournalError) in
                try await environment.journal.forgetReply(record.id, fate)
            }
        }
        let isConcluded = active.withLock { active in
            active[record.id]?.early = .settled(failure)
            return active[record.id]?.isConcluded ?? false
        }
        if isConcluded { await settle(record, nil) }
    }

    /// Stores the outcome.
    ///
    /// - Returns: its delivery, which takes no turn of the instance; nil if an early answer is still being delivered.
    func conclude(_ record: SwapRecord, _ outcome: SwapOutcome) async -> InstanceQueue.Work? {
        let early = active.withLock { $0[record.id]?.early ?? .none }
        var record = record
        let told = early.failure.map { .failure($0.concluded(by: outcome)) } ?? outcome
        record.outcome = told
        record.finishedAt = environment.clock.date
        record.phase = told.phase
        let finished = record
        if case .failure(let failure) = told, case .success = outcome {
            environment.logger.error(
                "the swap was \(failure.successAfterAll)",
                metadata: record.logMetadata.merging(["told": "\(failure.reason)"]) { $1 })
        }
        await persist("outcome", finished.logMetadata) { [self] () async throws(JournalError) in
            try await environment.journal.finish(finished.id, told, at: finished.finishedAt ?? environment.clock.date)
        }
        if case .failure(let failure) = outcome { noteStray(finished, failure) }
        recent.add(SwapGlance(SwapStatus(finished, control: nil, hypervisor: environment.hypervisor.kind)))
        environment.reservations.release(record.id)
        await environment.hooks.onPhase(outcome.phase)
        if early.failure == nil { return { [self] in await handOut(finished, told) } }
        let isSettled = active.withLock { active in
            active[record.id]?.isConcluded = true
            if case .settled? = active[record.id]?.early { return true }
            return false
        }
        guard isSettled else { return nil }
        return { [self] in await settle(finished, nil) }
    }

    func handOut(_ record: SwapRecord, _ outcome: SwapOutcome) async {
        active.withLock { $0[record.id]?.isHandedOut = true }
        guard let answered = await answerCallers(record, outcome) else { return }
        await settle(record, answered.first)
    }

    private func settle(_ record: SwapRecord, _ fate: ReplyFate?) async {
        await persist("settlement", record.logMetadata) { [self] () async throws(JournalError) in
            try await environment.journal.settle(record.id, fate)
        }
        active.withLock { _ = $0.removeValue(forKey: record.id) }
    }

    /// Retries until the journal has stored something, which must happen before it is reported. Survives a full disk.
    @discardableResult
    func persist<Value>(
        _ what: String, _ task: @autoclosure () -> Logger.Metadata, _ work: @Sendable () async throws(JournalError) -> Value
    ) async -> Value? {
        var backoff = Backoff(first: .milliseconds(200), longest: .seconds(10))
        while true {
            do {
                return try await work()
            } catch {
                environment.logger.error("journal: \(what) failed, retrying: \(error)", metadata: task())
                // Bounded back-off: disk space may come back.
                guard (try? await environment.clock.sleep(for: backoff.pause())) != nil else { return nil }
            }
        }
    }

    func record(_ id: TaskID) async -> SwapRecord? {
        if let held = active.withLock({ $0[id]?.record }) { return held }
        let found = await persist("reading", ["task_id": "\(id)"]) { [self] () async throws(JournalError) -> SwapRecord? in
            do throws(JournalError) {
                return try await environment.journal.record(id)
            } catch  where error.code == .unusable {
                return nil  // a retry would not read it either
            }
        }
        return found ?? nil
    }

    private func request(of record: SwapRecord) throws(SwapFailure) -> SwapRequest {
        if let plan = record.plan { return try SwapRequest(resuming: record.args, plan) }
        return try SwapRequest(args: record.args, defaults: environment.settings.defaults)
    }
}
