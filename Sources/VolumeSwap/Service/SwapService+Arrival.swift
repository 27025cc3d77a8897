import Basics
import JSON
import Synchronization

/// The result of submitting a message.
package enum Submission: Sendable {
    /// The task is in the journal and will be answered when it ends.
    case accepted
    /// The same task is already under way; its single reply will follow.
    case underWay
    /// The same task is already under way for another caller; this caller gets the reply too.
    case shared
    /// The same task has ended, or has been answered ahead of that: its outcome is this message's answer, sent before it is acknowledged.
    case ended(SwapOutcome)
    /// The journal could not store the task; the message must not be acknowledged.
    case notStored(JournalError)
}

/// A message's place in the order of arrival.
package struct SwapTurn: Sendable {
    fileprivate enum Kind: Sendable {
        /// The same task has been accepted already, for this caller.
        case known(first: ReplyTo?)
        /// The request cannot be a swap of any instance: it is answered at once, without queueing.
        case refused(SwapFailure)
        /// A place in its instance's queue.
        case queued(InstanceQueue.Ticket)
    }

    package let record: SwapRecord
    fileprivate let kind: Kind
}

/// The tasks that are being stored and are not in memory yet, and who waits for them to be.
struct Arrivals {
    private struct Arrival {
        /// The same task may be stored by several deliveries at a time; one of them is new.
        var count = 0
        var waiters = Waiters<Void>()
    }

    private var arrivals: [TaskID: Arrival] = [:]

    mutating func begin(_ id: TaskID) { arrivals[id, default: Arrival()].count += 1 }

    mutating func end(_ id: TaskID) {
        arrivals[id]?.count -= 1
        guard arrivals[id]?.count == 0, var arrival = arrivals.removeValue(forKey: id) else { return }
        arrival.waiters.resumeAll(())
    }

    /// - Returns: nil if the task is not arriving.
    mutating func wait(for id: TaskID) -> Waiter<Void>? { arrivals[id]?.waiters.add() }
}

extension SwapService {
    /// Takes a message's place in its instance's queue and holds it until ``carryOut(_:)`` has journaled the task. Never blocks.
    ///
    /// - Parameter refusal: why the request cannot be a swap of any instance, if so.
    package func take(_ record: SwapRecord, refusal: SwapFailure? = nil) -> SwapTurn {
        // Under a token of the caller's own the arguments may be others: that shows against the journal.
        if !record.hasToken, let known = active.withLock({ $0[record.id]?.record }) {
            return SwapTurn(record: record, kind: .known(first: known.replyTo))
        }
        var record = record
        if let refusal {
            record.arrival = instanceQueue.nextNumber()
            return SwapTurn(record: record, kind: .refused(refusal))
        }
        let ticket = instanceQueue.reserve(
            environment.domainLocks.queue(for: record.instanceKey), disk: record.disk, since: record.acceptedAt)
        record.arrival = ticket.number
        return SwapTurn(record: record, kind: .queued(ticket))
    }

    /// Journals the task; it runs when its turn comes.
    package func carryOut(_ turn: SwapTurn) async -> Submission {
        switch turn.kind {
        case .known(let first): return await rejoin(turn.record, first: first)
        case .refused(let refusal): return await refuse(turn.record, refusal)
        case .queued(let ticket): return await accept(turn.record, ticket)
        }
    }

    private func refuse(_ record: SwapRecord, _ refusal: SwapFailure) async -> Submission {
        do {
            let acceptance = try await store(record) {
                active.withLock { $0[record.id] = Entry(control: SwapControl(phase: record.phase), ticket: nil, record: record) }
            }
            if let known = await submission(acceptance, of: record) { return known }
        } catch {
            return .notStored(error)
        }
        environment.observer.ended(record, .failure(refusal), duration: .zero, overhead: nil)
        if let delivery = await conclude(record, .failure(refusal)) { instanceQueue.runAside(delivery) }
        return .accepted
    }

    private func accept(_ record: SwapRecord, _ ticket: InstanceQueue.Ticket) async -> Submission {
        do {
            let acceptance = try await store(record) {
                await environment.hooks.onPhase(.accepted)
                enqueue(record, ticket, .fresh)
            }
            guard let known = await submission(acceptance, of: record) else { return .accepted }
            instanceQueue.withdraw(ticket)
            return known
        } catch {
            instanceQueue.withdraw(ticket)
            return .notStored(error)
        }
    }

    /// Journals a task and takes it up. Whoever finds it in the journal before that waits, by ``arrival(of:)``.
    /// If the journal has the same task, nothing is taken up.
    private func store(_ record: SwapRecord, takeUp: () async -> Void) async throws(JournalError) -> Acceptance {
        arrivals.withLock { $0.begin(record.id) }
        defer { arrivals.withLock { $0.end(record.id) } }
        let acceptance = try await environment.journal.accept(record)
        if case .new = acceptance { await takeUp() }
        return acceptance
    }

    /// - Returns: nil for a new task.
    private func submission(_ acceptance: Acceptance, of record: SwapRecord) async -> Submission? {
        switch acceptance {
        case .new: nil
        case .duplicate(let known): await repeating(known, for: record)
        case .unreadable: .ended(.failure(.unreadable(record.id)))
        }
    }

    /// Waits until a task that may just have been stored is in memory, too.
    func arrival(of id: TaskID) async {
        guard active.withLock({ $0[id] == nil }) else { return }
        await arrivals.withLock { $0.wait(for: id) }?.value(ifCancelled: ())
    }

    /// Answers a caller that asks for a task that the journal has.
    private func repeating(_ found: SwapRecord, for record: SwapRecord) async -> Submission {
        guard !record.hasToken || record.asks(for: found) else {
            return .ended(.failure(.invalidInput("request_token: belongs to another request, with other arguments")))
        }
        if let outcome = found.outcome { return .ended(outcome.restoringSecrets(from: record.args)) }
        await arrival(of: found.id)
        return await rejoin(record, first: found.replyTo)
    }
}

extension SwapRecord {
    /// Whether its id is a token of the caller's own.
    fileprivate var hasToken: Bool { self.args["request_token"].map { !$0.isNull } ?? false }

    /// Whether both ask for the same, however they write it. A settled record has lost its secrets, so they are not compared.
    fileprivate func asks(for known: SwapRecord) -> Bool {
        let defaults = SwapOptions()
        guard let mine = try? SwapRequest(args: self.args, defaults: defaults),
            let theirs = try? SwapRequest(args: known.args, defaults: defaults)
        else { return JSONValue.object(self.args).redacted() == JSONValue.object(known.args).redacted() }
        return mine.asksForTheSame(as: theirs)
    }
}
