import Basics
import DequeModule
import JSON
import Synchronization

/// The callers of a task that have asked for it after the first, and the outcome that they are answered with.
struct LaterCallers: Sendable {
    /// Maximum number of callers remembered while nothing can be told: the latest, who may still be there.
    static let limit = 1024

    private var askers: Deque<ReplyTo> = []
    /// The outcome that is being delivered, or has been; nil while there is none. Whoever asks from then on is answered on the spot.
    private(set) var outcome: SwapOutcome?
    /// Those whose reply is being sent.
    private var telling: Set<ReplyTo> = []
    private var waiter: Waiter<Bool>?

    /// Remembers a caller until there is an outcome.
    ///
    /// - Returns: false if there is one already.
    mutating func add(_ caller: ReplyTo) -> Bool {
        guard outcome == nil else { return false }
        guard !askers.contains(caller) else { return true }
        if askers.count >= Self.limit { askers.removeFirst() }
        askers.append(caller)
        return true
    }

    /// - Returns: those to answer now.
    mutating func tell(_ record: SwapRecord, _ outcome: SwapOutcome) -> Set<ReplyTo> {
        self.outcome = outcome
        telling = Set(askers).union(record.facts.askers)
        return telling
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
}

extension SwapService {
    /// What became of the first caller's reply; nil if it needs none.
    struct Answered {
        let first: ReplyFate?
    }

    /// Answers the first caller and all later ones, from before a restart and since, each by itself: others may be gone, and their replies
    /// retried for long.
    ///
    /// - Returns: nil if pivotd stops before all are answered or given up. Their addresses are kept until then.
    func answerCallers(_ record: SwapRecord, _ outcome: SwapOutcome) async -> Answered? {
        for caller in active.withLock({ $0[record.id]?.later.tell(record, outcome) }) ?? [] {
            instanceQueue.runAside { [self] in
                guard await deliver(record, caller, outcome) != nil else { return }  // pivotd is stopping
                active.withLock { $0[record.id]?.later.hasBeenTold(caller) }
            }
        }
        var fate: ReplyFate?
        if !record.isReplied, let replyTo = record.replyTo {
            fate = await deliver(record, replyTo, outcome)
            guard fate != nil else { return nil }
        }
        if let waiter = active.withLock({ $0[record.id]?.later.wait() }) {
            guard await waiter.value(ifCancelled: false) else { return nil }
        }
        return Answered(first: fate)
    }

    /// Answers a caller that asks for a task which pivotd has already: with the outcome if there is one, before its message is
    /// acknowledged, else with the others.
    ///
    /// - Parameter first: the task's first caller, who will be answered anyway.
    func rejoin(_ record: SwapRecord, first: ReplyTo?) async -> Submission {
        guard active.withLock({ $0[record.id].map { $0.later.outcome == nil } ?? false }) else {
            return await repeatOutcome(to: record)
        }
        guard let caller = record.replyTo, caller != first else { return .underWay }
        do throws(JournalError) {
            // So that it is answered after a restart, too.
            try await environment.journal.ask(record.id, caller)
        } catch {
            return .notStored(error)
        }
        let isRemembered = active.withLock { $0[record.id]?.later.add(caller) ?? false }
        return isRemembered ? .shared : await repeatOutcome(to: record)
    }

    /// Repeats an outcome that is being delivered, or that of a task that has left memory, once its settlement was stored.
    private func repeatOutcome(to record: SwapRecord) async -> Submission {
        if let outcome = active.withLock({ $0[record.id]?.later.outcome }) { return .ended(outcome) }
        guard let outcome = await self.record(record.id)?.outcome else { return .underWay }
        return .ended(outcome.restoringSecrets(from: record.args))
    }
}

extension SwapOutcome {
    /// A settled result has lost its secrets; the repeated message has them.
    func restoringSecrets(from args: JSONObject) -> SwapOutcome {
        if case .success(let result) = self { .success(result.restoringSecrets(from: args)) } else { self }
    }
}
