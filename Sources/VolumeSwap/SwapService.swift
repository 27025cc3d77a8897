import Foundation
import JSON
import Logging
import OrderedCollections
import Synchronization

/// What came of handing a message in.
package enum Submission: Sendable {
    /// In the journal; it will be answered when it has ended.
    case accepted
    /// The same task is under way; its one answer will come.
    case underWay
    /// The same task has ended: its outcome is sent again.
    case ended
    case notStored(JournalError)
}

/// Takes swaps in, runs them one at a time for each instance, keeps the journal, hands outcomes out.
package final class SwapService: Sendable {
    /// Publishes an outcome's reply. True when it was confirmed or given up, false when it is still owed.
    package typealias Delivery = @Sendable (SwapRecord, ReplyTo, SwapOutcome) async -> Bool

    struct Entry {
        var control: SwapControl
        /// nil when nothing is left to do but to tell the outcome.
        var ticket: SwapExecutor.Ticket?
        /// nil when the queue is so long that the record is read again when its turn comes.
        var record: SwapRecord?
        /// True from when the reply is sent: who asks again may have it already, and is answered once more.
        var isHandedOut = false
        var askedAgain: [ReplyTo] = []
    }

    /// So many callers who ask again while the outcome is told are remembered, to be answered too.
    private static let askersInMemory = 1024
    /// So many queued records are held in memory; the others wait in the journal alone.
    private static let recordsInMemory = 500

    package let environment: SwapEnvironment
    let executor: SwapExecutor
    private let deliver: Delivery
    let active = Mutex<[TaskID: Entry]>([:])

    package init(environment: SwapEnvironment, deliver: @escaping Delivery) {
        self.environment = environment
        self.deliver = deliver
        executor = SwapExecutor(limit: environment.settings.maxConcurrentSwaps)
    }

    /// Runs accepted swaps until the task is cancelled. Running copies are then left to the hypervisor; what has reached its pivot is finished.
    package func run() async { await executor.run() }

    package var running: Int { executor.running }
    package var queued: Int { executor.depth - executor.running }

    /// Takes the message's place in its instance's queue at once, so that arrival order holds; the returned closure journals it.
    package func submit(_ record: SwapRecord) -> @Sendable () async -> Submission {
        let isUnderWay = active.withLock { active in
            guard let entry = active[record.id] else { return false }
            if entry.isHandedOut, let replyTo = record.replyTo, !entry.askedAgain.contains(replyTo),
                entry.askedAgain.count < SwapService.askersInMemory
            {
                active[record.id]?.askedAgain.append(replyTo)
            }
            return true
        }
        if isUnderWay { return { .underWay } }
        let ticket = executor.reserve(record.instanceKey)
        return { [self] in await accept(record, ticket) }
    }

    private func accept(_ record: SwapRecord, _ ticket: SwapExecutor.Ticket) async -> Submission {
        do {
            switch try await environment.journal.accept(record) {
            case .new:
                await environment.settings.onPhase(.accepted)
                enqueue(record, ticket, .fresh)
                return .accepted
            case .duplicate(let known):
                executor.withdraw(ticket)
                guard let outcome = known.outcome, known.isReplied else { return .underWay }
                var again = known
                again.replyTo = record.replyTo
                again.isReplied = record.replyTo == nil
                repeatReply(again, SwapService.restoringSecrets(outcome, from: record.args))
                return .ended
            }
        } catch {
            executor.withdraw(ticket)
            return .notStored(error)
        }
    }

    private func repeatReply(_ record: SwapRecord, _ outcome: SwapOutcome) {
        guard let replyTo = record.replyTo else { return }
        executor.runAside { [self] in _ = await deliver(record, replyTo, outcome) }
    }

    /// A settled result holds no secrets; the message that is answered again holds them.
    private static func restoringSecrets(_ outcome: SwapOutcome, from args: JSONObject) -> SwapOutcome {
        guard case .success(.object(var result)) = outcome, var connection = result["connection_info"]?.objectValue,
            let new = args["new_connection_info"]?.objectValue, let data = new["data"]?.objectValue
        else { return outcome }
        let path = connection["data"]?["device_path"]
        let serial = connection["serial"]
        connection = new
        if let serial { connection["serial"] = serial }
        var full = data
        if let path { full["device_path"] = path }
        connection["data"] = .object(full)
        result["connection_info"] = .object(connection)
        return .success(.object(result))
    }

    private func enqueue(_ record: SwapRecord, _ ticket: SwapExecutor.Ticket, _ entry: SwapEntry) {
        let control = SwapControl(phase: record.phase)
        active.withLock { active in
            let isHeld = active.count < SwapService.recordsInMemory
            active[record.id] = Entry(control: control, ticket: ticket, record: isHeld ? record : nil)
        }
        let id = record.id
        executor.fill(ticket) { [self] in await perform(id, control, entry) }
    }

    private func perform(_ id: TaskID, _ control: SwapControl, _ entry: SwapEntry) async {
        guard var record = await record(id) else { return }
        if record.startedAt == nil { record.startedAt = .now }
        let outcome: SwapOutcome?
        do {
            let request = try request(of: record)
            let runner = SwapRunner(environment: environment, record: record, request: request, control: control)
            outcome = await runner.run(from: entry)
        } catch {
            environment.observer.ended(record, .failure(error), duration: .zero, overhead: nil)
            outcome = .failure(error)
        }
        if let outcome { await conclude(record, outcome) }
    }

    /// Stores the outcome, then has it delivered outside the instance's queue.
    func conclude(_ record: SwapRecord, _ outcome: SwapOutcome) async {
        var record = record
        record.outcome = outcome
        record.finishedAt = .now
        record.phase = outcome.phase
        let finished = record
        await persist("outcome") { [self] () async throws(JournalError) in
            try await environment.journal.finish(finished.id, outcome, at: finished.finishedAt ?? .now)
        }
        await environment.settings.onPhase(outcome.phase)
        executor.runAside { [self] in await handOut(finished, outcome) }
    }

    private func handOut(_ record: SwapRecord, _ outcome: SwapOutcome) async {
        active.withLock { $0[record.id]?.isHandedOut = true }
        if !record.isReplied, let replyTo = record.replyTo {
            guard await deliver(record, replyTo, outcome) else { return }
        }
        await persist("settlement") { [self] () async throws(JournalError) in try await environment.journal.settle(record.id) }
        let entry = active.withLock { $0.removeValue(forKey: record.id) }
        for replyTo in entry?.askedAgain ?? [] {
            var again = record
            again.replyTo = replyTo
            repeatReply(again, outcome)
        }
    }

    /// An outcome must be stored before it is told: a full disk is waited out.
    @discardableResult
    private func persist<Value>(_ what: String, _ work: @Sendable () async throws(JournalError) -> Value) async -> Value? {
        var pause = Duration.milliseconds(200)
        while true {
            do {
                return try await work()
            } catch {
                environment.logger.error("journal: \(what) failed, trying again: \(error)")
                guard (try? await Task.sleep(for: pause)) != nil else { return nil }  // a bounded back-off: space may come back
                pause = min(pause * 2, .seconds(10))
            }
        }
    }

    private func record(_ id: TaskID) async -> SwapRecord? {
        if let held = active.withLock({ $0[id]?.record }) { return held }
        let found = await persist("reading") { [self] () async throws(JournalError) in try await environment.journal.record(id) }
        return found ?? nil
    }

    /// Takes up what the journal holds unfinished. To be called before consuming begins.
    ///
    /// - Parameter onTask: called for each task before it goes on.
    /// - Returns: how many tasks were taken up.
    @discardableResult
    package func recover(onTask: (SwapRecord) -> Void = { _ in }) async throws -> Int {
        let unfinished = try await environment.journal.unfinished()
        let observer = RecoveryObserver(environment: environment)
        let known = Set(unfinished.filter { $0.outcome == nil }.map(\.id))
        let restored = try await observer.restoreOrphans { known.contains($0) }
        for name in restored {
            environment.logger.warning(
                "\(name) had lost its stored configuration in a swap that the journal does not know: restored")
        }
        for record in unfinished {
            onTask(record)
            if let outcome = record.outcome {
                let entry = Entry(control: SwapControl(phase: record.phase), ticket: nil, record: record, isHandedOut: true)
                active.withLock { $0[record.id] = entry }
                executor.runAside { [self] in await handOut(record, outcome) }
                continue
            }
            let ticket = executor.reserve(record.instanceKey.isEmpty ? "task:\(record.id)" : record.instanceKey)
            let entry = try await recoveredEntry(record, observer)
            enqueue(record, ticket, entry)
        }
        return unfinished.count
    }

    private func request(of record: SwapRecord) throws(SwapFailure) -> SwapRequest {
        if let plan = record.plan { return try SwapRequest(resuming: record.args, plan) }
        return try SwapRequest(args: record.args, defaults: environment.settings.defaults)
    }

    private func recoveredEntry(_ record: SwapRecord, _ observer: RecoveryObserver) async throws -> SwapEntry {
        // Without a plan nothing has been begun.
        guard let plan = record.plan else { return .fresh }
        let request = try request(of: record)
        let seen: SwapObservation
        do {
            seen = try await observer.observe(plan)
        } catch {
            seen = try await observer.observe(plan)  // it may have stopped between two looks; a second trouble ends the start
        }
        let decision = Recovery.decide(phase: record.phase, plan: plan, seen)
        environment.logger.notice(
            "recovering from \(record.phase.rawValue)", metadata: ["task_id": "\(record.id)", "disk": "\(record.disk)"])
        switch decision {
        case .enter(let entry): return entry
        case .restart(let undoing):
            guard let undoing else { return .fresh }
            let control = SwapControl(phase: record.phase)
            let steps = SwapSteps(environment: environment, record: record, request: request, control: control)
            let undone = await steps.rollBack(undoing, .rebaseFailed("pivotd was restarted"))
            if case .failed(let failure) = undone { return .rollBack(undoing, failure) }
            return .fresh
        }
    }
}
