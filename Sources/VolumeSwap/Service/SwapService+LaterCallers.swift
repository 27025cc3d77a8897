import Basics
import Synchronization

/// The callers of a task that have asked for it after the first, and the outcome that they are answered with.
struct LaterCallers: Sendable {
    /// Maximum number of callers remembered while nothing can be told.
    private static let limit = 1024

    private struct Asker: Hashable {
        let replyTo: ReplyTo
        /// Asked after the reply was sent, and may have missed it.
        let isLate: Bool
    }

    private var askers: [Asker] = []
    /// The task and the outcome that is being delivered; nil while there is none.
    private var told: (record: SwapRecord, outcome: SwapOutcome)?
    /// Those whose reply is being sent.
    private var telling: Set<ReplyTo> = []
    private var waiter: Waiter<Bool>?

    mutating func note(_ replyTo: ReplyTo, isLate: Bool) {
        let asker = Asker(replyTo: replyTo, isLate: isLate)
        if !askers.contains(asker), askers.count < Self.limit { askers.append(asker) }
    }

    mutating func tell(_ record: SwapRecord, _ outcome: SwapOutcome) {
        told = (record, outcome)
        for caller in record.facts.askers { note(caller, isLate: false) }
    }

    /// Those to answer now, once each, and with what; nil while there is no outcome.
    mutating func next() -> (callers: Set<ReplyTo>, record: SwapRecord, outcome: SwapOutcome)? {
        guard let told else { return nil }
        let callers = untold(of: told.record).subtracting(telling)
        // One that asks again while its reply is being sent gets it again with the settlement, which ends its new heartbeats.
        askers.removeAll { !telling.contains($0.replyTo) }
        telling.formUnion(callers)
        return (callers, told.record, told.outcome)
    }

    mutating func hasBeenTold(_ caller: ReplyTo) {
        telling.remove(caller)
        guard telling.isEmpty else { return }
        waiter?.resume(true)
        waiter = nil
    }

    /// - Returns: nil if no reply is being sent. Await it outside the lock.
    mutating func wait() -> Waiter<Bool>? {
        guard !telling.isEmpty else { return nil }
        let waiter = Waiter<Bool>()
        self.waiter = waiter
        return waiter
    }

    /// Those who need a reply of their own.
    func untold(of record: SwapRecord) -> Set<ReplyTo> {
        Set(askers.filter { $0.isLate || $0.replyTo != record.replyTo }.map(\.replyTo))
    }
}

extension SwapService {
    /// What became of the first caller's reply; nil if it needs none.
    struct Answered {
        let first: ReplyFate?
    }

    /// Answers the first caller and all later ones, from before a restart and since. From now on each is answered as it asks: others may
    /// be gone, and their replies retried for long.
    ///
    /// - Returns: nil if pivotd stops before all are answered or given up. Their addresses are kept until then.
    func answerCallers(_ record: SwapRecord, _ outcome: SwapOutcome) async -> Answered? {
        active.withLock { $0[record.id]?.later.tell(record, outcome) }
        tellLaterCallers(of: record.id)
        var fate: ReplyFate?
        if !record.isReplied, let replyTo = record.replyTo {
            fate = await deliver(record, replyTo, outcome)
            guard fate != nil else { return nil }
        }
        while let waiter = active.withLock({ $0[record.id]?.later.wait() }) {
            guard await waiter.value(ifCancelled: false) else { return nil }
        }
        return Answered(first: fate)
    }

    /// Answers later callers if there is an outcome already.
    private func tellLaterCallers(of id: TaskID) {
        guard let (callers, record, outcome) = active.withLock({ $0[id]?.later.next() }) else { return }
        for caller in callers {
            instanceQueue.runAside { [self] in
                guard await deliver(record, caller, outcome) != nil else { return }  // pivotd is stopping
                active.withLock { $0[id]?.later.hasBeenTold(caller) }
            }
        }
    }

    /// Stores another caller of a task under way, so that it is answered after a restart, too.
    func share(_ record: SwapRecord) async -> Submission {
        guard let caller = record.replyTo else { return .shared }
        do throws(JournalError) {
            try await environment.journal.ask(record.id, caller)
        } catch {
            return .notStored(error)
        }
        tellLaterCallers(of: record.id)
        return .shared
    }
}
