package import Foundation

/// What an accept found.
package enum Acceptance: Sendable {
    /// Stored; fsync is done.
    case new
    /// The same task is there already, finished or not.
    indirect case duplicate(SwapRecord)
}

/// Which tasks `list_swaps` shows.
package struct SwapQuery: Sendable, Hashable {
    /// A UUID or name; nil is all.
    package var instanceKey: String?
    package var disk: String?
    /// Public states; nil is all.
    package var states: Set<String>?
    package var limit: Int

    package init(instanceKey: String? = nil, disk: String? = nil, states: Set<String>? = nil, limit: Int = 100) {
        self.instanceKey = instanceKey
        self.disk = disk
        self.states = states
        self.limit = limit
    }
}

/// The journal cannot store: nothing may be acknowledged.
package struct JournalError: Error, Sendable, CustomStringConvertible {
    package enum Code: String, Sendable {
        /// No space, read-only, I/O error: may pass.
        case unavailable
        /// Not pivotd's file, damaged, or of a newer version.
        case unusable
    }

    package var code: Code
    /// What happened, which file, and what to do.
    package var message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { message }
}

/// The durable memory of all tasks. A call that returned has been written and synced; many calls share one sync.
package protocol SwapJournal: Sendable {
    /// Stores a task unless one of that id is there.
    func accept(_ record: SwapRecord) async throws(JournalError) -> Acceptance
    /// Stores that the task entered a phase, and its plan when a new one is given.
    func enter(_ id: TaskID, _ phase: SwapPhase, plan: SwapPlan?) async throws(JournalError)
    /// As ``enter(_:_:plan:)`` but without waiting: it is stored no later than the next awaited call of this task.
    func note(_ id: TaskID, _ phase: SwapPhase)
    /// Stores the outcome; `phase` and `finishedAt` follow from it. One that was told before (``answer(_:_:)``) stays.
    func finish(_ id: TaskID, _ outcome: SwapOutcome, at: Date) async throws(JournalError)
    /// Stores an outcome that is told while the task goes on: its roll-back is not over. The phase stays, and ``finish(_:_:at:)`` follows.
    func answer(_ id: TaskID, _ outcome: SwapOutcome) async throws(JournalError)
    /// Stores that the reply to ``answer(_:_:)`` is settled.
    func forgetReply(_ id: TaskID) async throws(JournalError)
    /// Stores that the reply is settled, and takes the secrets out of the record (arguments, plan, result).
    func settle(_ id: TaskID) async throws(JournalError)
    /// What had begun, what had not, and what is over but for its reply; each in order of arrival.
    func unfinished() async throws(JournalError) -> [UnfinishedTask]
    /// - Throws: ``JournalError`` of code `unusable` for a task that cannot be read.
    func record(_ id: TaskID) async throws(JournalError) -> SwapRecord?
    /// Newest first.
    func records(_ query: SwapQuery) async throws(JournalError) -> [SwapRecord]
    /// Deletes settled tasks that finished before `date`; returns how many.
    func prune(before date: Date) async throws(JournalError) -> Int
    /// Writes so many bytes more than something small, and syncs: does the journal work now? After a task that could not be stored none is
    /// until then: it would overtake.
    func probe(bytes: Int) async throws(JournalError)
    func close() async
}

extension SwapJournal {
    package func probe() async throws(JournalError) { try await probe(bytes: 0) }
}
