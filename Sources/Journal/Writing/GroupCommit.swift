import Basics
import Dispatch
import Foundation
import GRDB
import Metrics
import Synchronization
import VolumeSwap

/// The journal's only writer: everything queued during a transaction becomes the next one, with one sync if any of it needs that.
///
/// Callers are suspended, never blocked; beyond `limit` they wait for room. All SQLite work runs on a serial dispatch queue.
final class GroupCommit: Sendable {
    typealias Reply = CheckedContinuation<Result<WriteOutput, JournalError>, Never>

    /// Maximum number of awaited changes in the queue.
    static let limit = 1024
    /// How long old bytes may stay in the write-ahead log after a task was settled.
    static let scrubDelay = DispatchTimeInterval.seconds(1)

    private struct State {
        var queued = WriteQueue()
        var awaited = 0
        var waiters = Waiters<Void>()
        var isRunning = false
        var wait = CommitWait()
        var draining = DrainingReaders()
        /// Why a task could not be stored, after which later ones must not overtake it.
        var refusal: JournalError?
        /// No more changes are accepted.
        var isClosed = false
        /// SQLite must no longer be called.
        var isDatabaseClosed = false
        var isScrubDue = false
        /// nil in a durable journal: changes accumulate during its syncs.
        var gathering: Gathering?
        /// Whether SQLite syncs the next transaction.
        var syncs = true
    }

    private let database: any DatabaseWriter
    private let path: String
    private let files: JournalFiles
    private let isDurable: Bool
    private let queue = DispatchQueue(label: "pivotd.journal", qos: .userInitiated)
    private let state: Mutex<State>
    private let commitCount = Atomic<Int>(0)
    private let commitTime = Metrics.Timer(label: "pivotd_journal_commit_seconds")
    private let size: JournalSize

    /// - Parameter isDurable: false for a journal that never syncs and has no write-ahead log; else it begins with syncs.
    init(database: any DatabaseWriter, path: String, files: JournalFiles, isDurable: Bool) {
        state = Mutex(State(gathering: isDurable ? nil : Gathering()))
        self.database = database
        self.path = path
        self.files = files
        self.isDurable = isDurable
        size = JournalSize(files)
        if isDurable { size.record() }
    }

    /// Number of transactions committed.
    var commits: Int { commitCount.load(ordering: .relaxed) }

    /// How long the oldest change has been waiting for its commit; zero if there is none.
    var oldestWait: Duration {
        state.withLock { $0.wait.oldest(at: .now) }
    }

    /// Writes a change and waits for its commit, even if cancelled: what was begun is recorded.
    ///
    /// - Parameter history: lines to append to the task's history.
    /// - Throws: ``JournalError`` if the change could not be stored.
    func submit(_ write: JournalWrite, history: String = "") async throws(JournalError) -> WriteOutput {
        await makeRoom()
        let result = await withCheckedContinuation { (reply: Reply) in
            enqueue(.init(write: write, reply: reply, history: history))
        }
        return try result.get()
    }

    /// Writes a change without waiting. For changes that follow an awaited one, so that the queue stays short.
    func note(_ write: JournalWrite, history: String = "") { enqueue(.init(write: write, reply: nil, history: history)) }

    /// Waits until all earlier changes have been tried, at most for `limit`: readers must not wait for a hanging disk.
    func drainQueue(within limit: DispatchTimeInterval) async {
        guard let waiter = state.withLock({ $0.draining.add() }) else { return }
        DispatchQueue.global().asyncAfter(deadline: .now() + limit) { waiter.resume() }
        await waiter.value()
    }

    /// Checkpoints and truncates the write-ahead log, so that no overwritten byte is left in either file.
    func scrub() async { await queue.run { self.scrubNow() } }

    /// Commits what is queued, refuses later changes, and empties the write-ahead log.
    func close() async {
        // The barrier makes the notes of a failed transaction go along.
        _ = try? await submit(.barrier)
        state.withLock { $0.isClosed = true }
        await queue.run { self.closeNow() }
    }

    private func closeNow() {
        let isOpen = state.withLock { state in
            defer { state.isDatabaseClosed = true }
            return !state.isDatabaseClosed
        }
        guard isOpen else { return }
        commitBatch()
        checkpoint()
        try? database.close()
    }

    private func makeRoom() async {
        let waiter = state.withLock { state -> Waiter<Void>? in
            guard state.awaited < Self.limit || state.isClosed else { return state.waiters.add() }
            state.awaited += 1
            return nil
        }
        await waiter?.value()
    }

    private func enqueue(_ entry: WriteQueue.Entry) {
        enum Next { case start, wait, refuse }
        let next = state.withLock { state -> Next in
            guard !state.isClosed else { return .refuse }
            state.queued.append(entry)
            state.draining.queued()
            state.wait.queued(at: .now)
            if state.isRunning { return .wait }
            state.isRunning = true
            return .start
        }
        switch next {
        case .start: schedule()
        case .wait: break
        case .refuse:
            entry.reply?.resume(returning: .failure(.closed(path)))
            // Callers waiting for room are refused too.
            state.withLock { $0.waiters.resumeAll(()) }
        }
    }

    /// Runs one batch per block, so that a due scrub gets its turn under constant load.
    private func run() {
        commitBatch()
        let isMore = state.withLock { state in
            state.isRunning = !state.queued.isEmpty
            return state.isRunning
        }
        if isMore { schedule() }
    }

    private func schedule() {
        let waits = state.withLock { state in state.gathering?.begins(queued: state.queued.count) ?? false }
        if waits {
            queue.asyncAfter(deadline: .now() + Gathering.delay) { self.run() }
        } else {
            queue.async { self.run() }
        }
    }

    private func commitBatch() {
        let batch = state.withLock { state in
            state.gathering?.ends(queued: state.queued.count)
            let batch = state.queued.take()
            guard !batch.isEmpty else { return [WriteQueue.Entry]() }
            state.awaited = 0
            while state.awaited < Self.limit, state.waiters.resumeFirst(()) { state.awaited += 1 }
            state.wait.begins()
            state.draining.begins()
            return batch
        }
        defer { endBatch() }
        guard !batch.isEmpty else { return }
        do {
            let began = ContinuousClock.now
            let isSynced = isDurable && batch.contains { $0.write.needsSync }
            let results = try commit(batch, isSynced: isSynced)
            if isSynced { commitTime.record(duration: .now - began) }
            if batch.contains(where: { $0.write.isProbe }) { state.withLock { $0.refusal = nil } }
            for (entry, result) in zip(batch, results) { entry.reply?.resume(returning: result) }
            if isDurable, batch.contains(where: { $0.write.isSettlement }) { scheduleScrub() }
        } catch {
            let failure = JournalError(error, path: path)
            state.withLock { state in
                state.queued.retain(batch)
                if isDurable, batch.contains(where: { $0.write.isAcceptance }) { state.refusal = failure }
            }
            for entry in batch { entry.reply?.resume(returning: .failure(failure)) }
        }
    }

    private func endBatch() {
        state.withLock { state in
            state.wait.ends()
            state.draining.ends()
        }
        if isDurable { size.recordIfDue() }
    }

    private func commit(_ batch: [WriteQueue.Entry], isSynced: Bool) throws -> [Result<WriteOutput, JournalError>] {
        // A journal that is not durable may have been unlinked on purpose.
        let missing = isDurable ? files.missing : nil
        let refusal = state.withLock(\.refusal)
        var results: [Result<WriteOutput, JournalError>] = []
        results.reserveCapacity(batch.count)
        var isWritten = false
        try database.writeWithoutTransaction { db in
            try setSync(db, isSynced)
            try db.inOneTransaction {
                for entry in batch {
                    if let refusal, entry.write.isAcceptance {
                        results.append(.failure(refusal))
                        continue
                    }
                    if let missing, entry.write.needs(missing) {
                        results.append(.failure(missing.error(path)))
                        continue
                    }
                    results.append(try entry.write.apply(db, path: path, history: entry.history))
                    if case .barrier = entry.write { continue }
                    isWritten = true
                }
            }
        }
        if isWritten { commitCount.add(1, ordering: .relaxed) }
        // The open log has no name any more: its contents must be in the file before anyone is told.
        if missing == .log, !checkpoint() { throw JournalFiles.Missing.log.error(path) }
        return results
    }

    /// Sets whether the next commit syncs the write-ahead log, and with it all earlier transactions.
    private func setSync(_ db: Database, _ syncs: Bool) throws {
        guard isDurable, state.withLock({ $0.syncs != syncs }) else { return }
        try db.execute(sql: "PRAGMA synchronous = \(syncs ? "FULL" : "NORMAL")")
        state.withLock { $0.syncs = syncs }
    }

    private func scheduleScrub() {
        let isNew = state.withLock { state in
            defer { state.isScrubDue = true }
            return !state.isScrubDue
        }
        guard isNew else { return }
        queue.asyncAfter(deadline: .now() + Self.scrubDelay) { [weak self] in self?.scrubNow() }
    }

    private func scrubNow() {
        let isOpen = state.withLock { state in
            state.isScrubDue = false
            return !state.isDatabaseClosed
        }
        // A reader may be in the way, or the disk full: retry later.
        guard isOpen else { return }
        if checkpoint() { size.record() } else { scheduleScrub() }
    }

    /// Never waits for a reader such as a backup: commits would wait behind it.
    @discardableResult
    private func checkpoint() -> Bool {
        do {
            try database.writeWithoutTransaction { db in
                try db.execute(sql: "PRAGMA busy_timeout = 0")
                defer { try? db.execute(sql: "PRAGMA busy_timeout = \(SQLiteJournal.busyMilliseconds)") }
                _ = try db.checkpoint(.truncate)
            }
            return true
        } catch {
            return false
        }
    }
}

extension Database {
    /// Like `inTransaction(.immediate)`, but with cached statements.
    fileprivate func inOneTransaction(_ body: () throws -> Void) throws {
        try cachedStatement(sql: "BEGIN IMMEDIATE").execute()
        do {
            try body()
            try cachedStatement(sql: "COMMIT").execute()
        } catch {
            // SQLite may already have rolled back.
            if isInsideTransaction { try rollback() }
            throw error
        }
    }
}
