import Basics
package import Foundation
import GRDB
package import Logging
package import VolumeSwap

/// The journal in an SQLite file: write-ahead log, `synchronous=FULL` for all that must survive a power loss, and one writer that
/// commits in groups.
///
/// Only its owner can read `STATE_DIR/journal.sqlite`, and one process at a time may open it. When a task is settled, its
/// secrets are masked and the freed bytes overwritten (`secure_delete`). Within a second the write-ahead log, which still has
/// them, is checkpointed and truncated.
package final class SQLiteJournal: SwapJournal {
    /// Number of tasks deleted per transaction, so that other changes need not wait long.
    private static let pruneLimit = 500
    /// Page cache in KiB of a journal that is not durable.
    private static let passingCacheKiB = 16 << 10
    /// How long a transaction waits for another connection's lock, in milliseconds.
    static let busyMilliseconds = 5000

    /// How long a reader waits for changes that are being written.
    private static let readingDelay = DispatchTimeInterval.milliseconds(500)

    /// The path of the database file, for messages.
    package let path: String
    let database: any DatabaseWriter
    private let writer: GroupCommit
    private let lock: ProcessLock
    /// nil in a journal that is not durable: its file is deleted, not masked.
    private let memory: TaskMemory?
    private let now: @Sendable () -> Date
    let logger: Logger
    let unreadable = UnreadableTasks()
    /// The sequence number of the last task before this process.
    private let firstSequence: Int64

    /// Opens or creates the journal of a state directory.
    ///
    /// - Parameters:
    ///   - directory: created with mode 0700; an existing one is closed to others.
    ///   - isDurable: false for a journal that need not outlive this process, such as a replay's: nothing is synced or masked,
    ///     plans are not kept, and only acceptance is awaited. The caller deletes the directory.
    ///   - logger: reports tasks that cannot be read.
    ///   - now: the time of `startedAt`.
    /// - Throws: ``JournalError``: `unusable` if another process has it open, or the file is foreign, damaged or from a newer
    ///   version; `unavailable` if the disk is full or fails.
    package static func open(
        directory: String, isDurable: Bool = true, logger: Logger = Logger(label: "pivotd"),
        now: @escaping @Sendable () -> Date = { Date() }
    ) async throws(JournalError) -> SQLiteJournal {
        try await DispatchQueue.global().run {
            Result { () throws(JournalError) in
                try SQLiteJournal(directory: directory, isDurable: isDurable, logger: logger, now: now)
            }
        }.get()
    }

    private init(
        directory: String, isDurable: Bool, logger: Logger, now: @escaping @Sendable () -> Date
    ) throws(JournalError) {
        let directory = try StateDirectory(preparing: directory)
        let path = directory.databasePath
        let lock = try ProcessLock(path: directory.lockPath, directory: directory.path)
        let identity = try directory.prepareDatabaseFile()
        try JournalSchema.check(path: path)
        do {
            if isDurable { try JournalSchema.create(path: path) }
            database = try isDurable ? Self.durable(path: path) : Self.passing(path: path)
            try JournalSchema.migrate(database)
            if !isDurable { try JournalSchema.dropRestartIndexes(database) }
            // Opens the reader now: later another file might have this name.
            firstSequence = try database.read { db in try Int64.fetchOne(db, sql: "SELECT max(sequence) FROM task") } ?? 0
            let files = JournalFiles(path: path, database: identity, log: FileIdentity(path: path + "-wal"))
            writer = GroupCommit(database: database, path: path, files: files, isDurable: isDurable)
        } catch {
            throw JournalError(error, path: path)
        }
        self.path = path
        self.lock = lock
        memory = isDurable ? TaskMemory() : nil
        self.now = now
        self.logger = logger
    }

    /// Number of transactions committed so far: far fewer than calls, if many come at once.
    package var commits: Int { writer.commits }

    /// How long the oldest change has been waiting for its commit; grows while the disk hangs.
    package var oldestWait: Duration { writer.oldestWait }

    package func accept(_ record: SwapRecord) async throws(JournalError) -> Acceptance {
        var row = try TaskRow(record)
        // Tasks that arrive together may be written out of order; the sequence preserves their arrival.
        if record.arrival > 0 { row.sequence = firstSequence + Int64(record.arrival) }
        guard case .acceptance(let acceptance) = try await writer.submit(.accept(row)) else { return .new }
        if case .new = acceptance { memory?.accepted(record) }
        return acceptance
    }

    package func enter(_ id: TaskID, _ phase: SwapPhase, plan: SwapPlan?, isSynced: Bool) async throws(JournalError) {
        guard memory != nil else { return note(id, phase, isSynced: isSynced) }  // only a restart needs the plan
        let text = try plan.map { plan throws(JournalError) in try JournalCoding.text(plan) }
        let date = now()
        let write = JournalWrite.enter(id, phase, plan: text, at: date.timeIntervalSince1970, isSynced: isSynced)
        _ = try await writer.submit(write, history: line(.phase(phase), date))
    }

    package func note(_ id: TaskID, _ phase: SwapPhase, isSynced: Bool) {
        let date = now()
        writer.note(
            .enter(id, phase, plan: nil, at: date.timeIntervalSince1970, isSynced: isSynced), history: line(.phase(phase), date))
    }

    package func remark(_ id: TaskID, _ text: String) {
        guard memory != nil else { return }
        writer.note(.remark(id), history: line(.note(text), now()))
    }

    /// Nothing in a journal that is not durable: nobody will ask.
    private func line(_ event: HistoryEntry.Event?, _ date: Date) -> String {
        guard memory != nil, let event else { return "" }
        return HistoryText.line(HistoryEntry(event, at: date))
    }

    package func finish(_ id: TaskID, _ outcome: SwapOutcome, at date: Date) async throws(JournalError) {
        let (result, failure) = try JournalCoding.texts(outcome)
        let write = JournalWrite.finish(id, outcome.phase, result: result, failure: failure, at: date.timeIntervalSince1970)
        guard let memory else { return writer.note(write) }
        if case .count(1) = try await writer.submit(write, history: line(.phase(outcome.phase), date)) {
            memory.finished(id, outcome)
        } else {
            memory.forget(id)
        }
    }

    package func answer(_ id: TaskID, _ outcome: SwapOutcome) async throws(JournalError) {
        let (result, failure) = try JournalCoding.texts(outcome)
        let write = JournalWrite.answer(id, result: result, failure: failure)
        guard memory != nil else { return writer.note(write) }
        _ = try await writer.submit(write)
        // Its secrets are masked in the file once it is over.
        memory?.forget(id)
    }

    package func ask(_ id: TaskID, _ caller: ReplyTo) async throws(JournalError) {
        guard memory != nil else { return }  // only a restart needs it
        _ = try await writer.submit(.ask(id, caller: JournalCoding.text(caller)))
    }

    package func limit(_ id: TaskID, mibS: Int64) async throws(JournalError) {
        guard memory != nil else { return }  // only a restart needs it
        _ = try await writer.submit(.limit(id, mibS: mibS))
    }

    package func abort(_ id: TaskID) async throws(JournalError) {
        guard memory != nil else { return }  // only a restart needs it
        _ = try await writer.submit(.abort(id))
    }

    package func forgetReply(_ id: TaskID, _ fate: ReplyFate) async throws(JournalError) {
        guard memory != nil else { return writer.note(.forgetReply(id)) }
        _ = try await writer.submit(.forgetReply(id), history: line(.reply(fate), now()))
    }

    /// Settles a task. One without an outcome, or settled before, stays as it is.
    ///
    /// - Throws: ``JournalError`` if that could not be stored.
    package func settle(_ id: TaskID, _ fate: ReplyFate?) async throws(JournalError) {
        guard let memory else { return writer.note(.settle(id, .kept)) }
        let write = JournalWrite.settle(id, memory.masked(id).map(Secrets.masked) ?? .unknown)
        _ = try await writer.submit(write, history: line(fate.map { .reply($0) }, now()))
        memory.forget(id)
    }

    /// Deletes settled tasks that finished before `date`, in several transactions; returns their number.
    ///
    /// - Throws: ``JournalError`` if a transaction fails; earlier ones stay.
    package func prune(before date: Date) async throws(JournalError) -> Int {
        var total = 0
        while true {
            let write = JournalWrite.prune(before: date.timeIntervalSince1970, limit: Self.pruneLimit)
            guard case .count(let count) = try await writer.submit(write) else { return total }
            total += count
            if count < Self.pruneLimit { return total }
        }
    }

    package func probe(bytes: Int) async throws(JournalError) {
        for bytes in bytes > 0 ? [bytes, 0] : [0] {
            _ = try await writer.submit(.probe(at: now().timeIntervalSince1970, bytes: bytes))
        }
    }

    /// Commits what is queued, empties the write-ahead log and releases the lock.
    package func close() async {
        await writer.close()
        lock.release()
    }

    /// Empties the write-ahead log now; it also happens by itself within a second of ``settle(_:)``.
    package func scrub() async { await writer.scrub() }

    /// Reads on the reader's own queue. Sees all changes submitted before, unless the disk is slow to take them.
    func read<Value: Sendable>(_ body: @escaping @Sendable (Database) throws -> Value) async throws(JournalError) -> Value {
        await writer.drainQueue(within: Self.readingDelay)
        let path = path
        let result = await withCheckedContinuation { (reply: CheckedContinuation<Result<Value, JournalError>, Never>) in
            database.asyncRead { access in
                do {
                    reply.resume(returning: .success(try body(access.get())))
                } catch {
                    reply.resume(returning: .failure(JournalError(error, path: path)))
                }
            }
        }
        return try result.get()
    }

    private static func durable(path: String) throws -> DatabasePool {
        let pool = try DatabasePool(path: path, configuration: configuration)
        // GRDB's WAL mode sets synchronous=NORMAL, with which a commit is not synced.
        try pool.writeWithoutTransaction { db in
            try db.execute(sql: "PRAGMA synchronous = FULL; PRAGMA secure_delete = ON")
        }
        return pool
    }

    /// A queue that writes each page once, to the file itself, and never syncs.
    private static func passing(path: String) throws -> DatabaseQueue {
        let queue = try DatabaseQueue(path: path, configuration: configuration)
        try queue.writeWithoutTransaction { db in
            try db.execute(
                sql: """
                    PRAGMA synchronous = OFF; PRAGMA journal_mode = MEMORY; PRAGMA locking_mode = EXCLUSIVE;
                    PRAGMA cache_size = -\(passingCacheKiB)
                    """)
        }
        return queue
    }

    private static var configuration: Configuration {
        var configuration = Configuration()
        configuration.label = "journal"
        configuration.maximumReaderCount = 1
        configuration.busyMode = .timeout(Double(busyMilliseconds) / 1000)
        configuration.prepareDatabase { db in
            try db.execute(sql: "PRAGMA trusted_schema = OFF; PRAGMA temp_store = MEMORY")
        }
        return configuration
    }
}
