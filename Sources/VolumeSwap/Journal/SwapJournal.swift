package import Foundation

/// The result of ``SwapJournal/accept(_:)``.
package enum Acceptance: Sendable {
    /// The task is stored and synced.
    case new
    /// The same task is already there, finished or not.
    indirect case duplicate(SwapRecord)
    /// The same task is already there, but cannot be read.
    case unreadable
}

/// A selection of tasks, as for `list_swaps`.
package struct SwapQuery: Sendable, Hashable {
    /// The instance's keys, whole as its tasks have them (``InstanceReference/keys``); empty for all.
    package var instanceKeys: [String]
    /// The disk's target; nil for all.
    package var disk: String?
    /// The beginning of the tasks' ids; nil for all.
    package var idPrefix: String?
    /// The `old_volume_id` or `new_volume_id` of the request; nil for all.
    package var volumeID: String?
    /// ``SwapPhase/publicState`` values; nil for all.
    package var states: Set<String>?
    /// Only tasks that left their disk on the new volume without libvirt's knowledge.
    package var isStranded: Bool
    /// Maximum number of tasks.
    package var limit: Int

    package init(
        instanceKeys: [String] = [], disk: String? = nil, states: Set<String>? = nil, isStranded: Bool = false, limit: Int = 100
    ) {
        self.instanceKeys = instanceKeys
        self.disk = disk
        self.states = states
        self.isStranded = isStranded
        self.limit = limit
    }
}

/// The journal cannot store or read; nothing may be acknowledged.
package struct JournalError: Error, Sendable, CustomStringConvertible {
    /// Whether the trouble may go away by itself.
    package enum Code: String, Sendable {
        /// No space, read-only or I/O error: may be transient.
        case unavailable
        /// Not pivotd's file, damaged, or written by a newer version.
        case unusable
    }

    /// Whether a retry may help.
    package var code: Code
    /// What happened, which file, and what to do.
    package var message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { message }
}

/// The durable record of all tasks. A change whose call has returned is written, and survives pivotd's death. Unless the call says
/// otherwise it is also synced, with all changes before it, and survives a power loss; many calls share one sync.
package protocol SwapJournal: Sendable {
    /// Stores a task unless one with its id exists.
    ///
    /// - Throws: ``JournalError`` if the task could not be stored; its message must not be acknowledged.
    func accept(_ record: SwapRecord) async throws(JournalError) -> Acceptance
    /// Stores that the task entered a phase, and its plan if there is a new one. A finished task keeps its phase.
    ///
    /// - Parameter isSynced: false if a power loss may take the task back to an earlier phase and plan.
    /// - Throws: ``JournalError`` if the phase could not be stored, or the task does not exist (`unusable`).
    func enter(_ id: TaskID, _ phase: SwapPhase, plan: SwapPlan?, isSynced: Bool) async throws(JournalError)
    /// Like ``enter(_:_:plan:isSynced:)`` but without waiting: stored no later than the task's next awaited call.
    func note(_ id: TaskID, _ phase: SwapPhase, isSynced: Bool)
    /// Stores the outcome, and with it the final phase. An earlier one stays; one reported with ``answer(_:_:)`` gets the new one's
    /// conclusion and course.
    ///
    /// - Throws: ``JournalError`` if the outcome could not be stored, or the task does not exist (`unusable`).
    func finish(_ id: TaskID, _ outcome: SwapOutcome, at: Date) async throws(JournalError)
    /// Stores an outcome that is reported while the roll-back goes on. The phase stays, and ``finish(_:_:at:)`` follows.
    ///
    /// - Throws: ``JournalError`` if the outcome could not be stored; it must not be reported then.
    func answer(_ id: TaskID, _ outcome: SwapOutcome) async throws(JournalError)
    /// Stores that another caller asks for the task, to be answered with the first. Nothing happens once it is settled.
    ///
    /// - Throws: ``JournalError`` if that could not be stored; the message must not be acknowledged.
    func ask(_ id: TaskID, _ caller: ReplyTo) async throws(JournalError)
    /// Stores the limit that a task's copy has been given since, in MiB/s; 0 for none.
    ///
    /// - Throws: ``JournalError`` if that could not be stored.
    func limit(_ id: TaskID, mibS: Int64) async throws(JournalError)
    /// Stores that the task's abort was requested before its pivot, so that a restart carries it out.
    ///
    /// - Throws: ``JournalError`` if that could not be stored.
    func abort(_ id: TaskID) async throws(JournalError)
    /// Stores that the reply to ``answer(_:_:)`` is delivered or given up, and forgets all callers. Not synced: after a power loss the same reply may be sent again.
    ///
    /// - Throws: ``JournalError`` if that could not be stored.
    func forgetReply(_ id: TaskID, _ fate: ReplyFate) async throws(JournalError)
    /// Stores that the final reply is delivered or given up, and removes the record's secrets (arguments, plan, result). Not synced:
    /// after a power loss the same reply may be sent again.
    ///
    /// - Parameter fate: nil if there was none to send, or it was sent ahead of the end.
    /// - Throws: ``JournalError`` if that could not be stored.
    func settle(_ id: TaskID, _ fate: ReplyFate?) async throws(JournalError)
    /// Adds a note to the task's history, without waiting. May be lost in a crash or while the journal fails.
    ///
    /// - Parameter text: one sentence for an operator; never a secret.
    func remark(_ id: TaskID, _ text: String)
    /// Reads what has happened to a task, in order: its phases, notes and reply. Long histories lack their middle.
    ///
    /// - Throws: ``JournalError`` if the journal cannot be read.
    func history(_ id: TaskID) async throws(JournalError) -> [HistoryEntry]
    /// All unsettled tasks: those that had begun, those that had not, and those that lack only their reply.
    ///
    /// - Throws: ``JournalError`` if the journal cannot be read; single unreadable tasks are left out.
    func unfinished() async throws(JournalError) -> [UnfinishedTask]
    /// Reads one task; nil if there is none with this id.
    ///
    /// - Throws: ``JournalError``, with code `unusable` for a task that cannot be read.
    func record(_ id: TaskID) async throws(JournalError) -> SwapRecord?
    /// Reads the selected tasks, newest first.
    ///
    /// - Throws: ``JournalError`` if the journal cannot be read; single unreadable tasks are left out.
    func records(_ query: SwapQuery) async throws(JournalError) -> [SwapRecord]
    /// Deletes settled tasks that finished before `date`. Not synced.
    ///
    /// - Returns: the number of deleted tasks.
    /// - Throws: ``JournalError`` if they could not be deleted.
    func prune(before date: Date) async throws(JournalError) -> Int
    /// Writes a small row plus `bytes` more, which are deleted again, and syncs, to test whether the journal works.
    ///
    /// After a failure to store a task none is accepted until a probe succeeds, since it would overtake the failed one.
    ///
    /// - Throws: ``JournalError`` if the journal cannot store.
    func probe(bytes: Int) async throws(JournalError)
    /// Stores what is pending, then closes the journal.
    func close() async
}

extension SwapJournal {
    /// Stores and syncs that the task entered a phase, and its plan if there is a new one.
    ///
    /// - Throws: ``JournalError`` if the phase could not be stored, or the task does not exist (`unusable`).
    package func enter(_ id: TaskID, _ phase: SwapPhase, plan: SwapPlan?) async throws(JournalError) {
        try await enter(id, phase, plan: plan, isSynced: true)
    }

    /// Stores that the task entered a phase that a power loss may take back, without waiting.
    package func note(_ id: TaskID, _ phase: SwapPhase) { note(id, phase, isSynced: false) }

    /// Tests whether the journal can store a small row.
    ///
    /// - Throws: ``JournalError`` if it cannot.
    package func probe() async throws(JournalError) { try await probe(bytes: 0) }
}
