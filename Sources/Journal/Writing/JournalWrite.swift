import Foundation
import GRDB
import VolumeSwap

/// One change to the journal, serialized by the caller so that the writer has little to do.
indirect enum JournalWrite: Sendable {
    case accept(TaskRow)
    case enter(TaskID, SwapPhase, plan: String?, at: Double, isSynced: Bool)
    /// `isSettled` if settling needs nothing else.
    case finish(TaskID, SwapPhase, result: String?, failure: String?, at: Double, isSettled: Bool = false)
    /// An outcome reported while the task goes on.
    case answer(TaskID, result: String?, failure: String?)
    /// Another caller of an unsettled task, as JSON.
    case ask(TaskID, caller: String)
    case forgetReply(TaskID)
    /// Of the task's copy.
    case limit(TaskID, mibS: Int64)
    /// Its abort was requested.
    case abort(TaskID)
    /// Also removes the secrets.
    case settle(TaskID, Secrets)
    /// Only its entry's lines of history.
    case remark(TaskID)
    case prune(before: Double, limit: Int)
    /// With this many bytes that are not kept.
    case probe(at: Double, bytes: Int)
    /// Writes nothing; completes once everything before it was tried.
    case barrier

    var task: TaskID? {
        switch self {
        case .accept(let row): TaskID(row.id)
        case .enter(let id, _, _, _, _), .finish(let id, _, _, _, _, _), .settle(let id, _): id
        case .answer(let id, _, _), .ask(let id, _), .forgetReply(let id), .limit(let id, _): id
        case .abort(let id), .remark(let id): id
        case .prune, .probe, .barrier: nil
        }
    }

    var isPhase: Bool { if case .enter = self { true } else { false } }

    /// Whether it overwrites the phase of the same task.
    var replacesPhase: Bool {
        switch self {
        case .enter, .finish: true
        default: false
        }
    }

    /// Whether an earlier change is lost in this one, and need not be written: it is a phase of the same task, and this one is synced
    /// if that was to be.
    func overwrites(_ earlier: JournalWrite) -> Bool {
        replacesPhase && earlier.isPhase && earlier.task == task && (needsSync || !earlier.needsSync)
    }

    /// This change combined with a later one of the same task; nil if it takes two.
    func merged(with later: JournalWrite) -> JournalWrite? {
        guard case .finish(let id, let phase, let result, let failure, let time, _) = self, case .settle(_, .kept) = later else {
            return nil
        }
        return .finish(id, phase, result: result, failure: failure, at: time, isSettled: true)
    }

    var isRemark: Bool { if case .remark = self { true } else { false } }

    /// Whether ``apply(_:path:history:)`` appends to the task's history.
    var takesHistory: Bool {
        switch self {
        case .enter, .finish, .forgetReply, .settle, .remark: true
        case .accept, .answer, .ask, .limit, .abort, .prune, .probe, .barrier: false
        }
    }

    /// Whether nothing is lost without it after a failed transaction.
    var isDispensable: Bool {
        switch self {
        case .barrier, .remark: true
        default: false
        }
    }

    /// Whether it must survive a power loss, and not only pivotd's death. Any sync also covers the transactions before it.
    var needsSync: Bool {
        switch self {
        case .accept, .finish, .answer, .ask, .limit, .abort, .probe: true
        case .enter(_, _, _, _, let isSynced): isSynced
        case .forgetReply, .settle, .remark, .prune, .barrier: false
        }
    }

    var isAcceptance: Bool { if case .accept = self { true } else { false } }
    var isProbe: Bool { if case .probe = self { true } else { false } }
    var isSettlement: Bool { if case .settle = self { true } else { false } }

    /// Whether it makes a promise that must survive a restart, and that it would not keep without this file.
    func needs(_ missing: JournalFiles.Missing) -> Bool {
        switch self {
        case .accept, .probe: true
        // If only the log is gone, what is written to it is brought into the database at once.
        case .limit, .abort: missing == .database
        default: false
        }
    }
}

/// What happens to a settled task's secrets.
enum Secrets: Sendable {
    /// These strings replace the stored ones, and the plan is deleted.
    case masked(Masked)
    /// The writer reads and masks the stored strings, and deletes the plan.
    case unknown
    /// They stay: the whole file will be deleted.
    case kept
}

enum WriteOutput: Sendable {
    case done
    case acceptance(Acceptance)
    case count(Int)
}

extension JournalWrite {
    /// Applies the change.
    ///
    /// - Parameter history: lines to append to the task's history, in the same statement.
    /// - Returns: the error of this change alone, if it does not apply.
    /// - Throws: SQLite's errors, which fail the whole transaction.
    func apply(_ db: Database, path: String, history: String = "") throws -> Result<WriteOutput, JournalError> {
        switch self {
        case .accept(let row):
            if try row.insert(db) { return .success(.acceptance(.new)) }
            guard let stored = try TaskRow.fetch(db, id: row.id) else { return .success(.acceptance(.new)) }
            let known = try? TaskRow.record(stored, path: path)
            return .success(.acceptance(known.map { .duplicate($0) } ?? .unreadable))
        case .enter(let id, let phase, let plan, let time, _):
            try db.run(Self.enterSQL, [phase.rawValue, phase == .accepted ? nil : time, history, id.text])
            let isChanged = db.changesCount > 0
            if let plan, isChanged { try db.run(Self.planSQL, [plan, id.text]) }
            return try isChanged || isKnown(db, id) ? .success(.done) : .failure(unknown(id, path))
        case .finish(let id, let phase, let result, let failure, let time, let isSettled):
            let sql = isSettled ? Self.finishAndSettleSQL : Self.finishSQL
            try db.run(sql, [phase.rawValue, result, failure, time, history, id.text])
            let count = db.changesCount
            // The first outcome stays, and is settled.
            if isSettled, count == 0 { try settle(db, id, .kept, history) }
            return try count > 0 || isKnown(db, id) ? .success(.count(count)) : .failure(unknown(id, path))
        case .answer(let id, let result, let failure):
            try db.run(Self.answerSQL, [result, failure, id.text])
            return try isKnown(db, id) ? .success(.done) : .failure(unknown(id, path))
        case .ask(let id, let caller):
            try db.run(Self.askSQL, [caller, id.text])
            return .success(.done)
        case .forgetReply(let id):
            try db.run(Self.forgetReplySQL, [history, id.text])
            return .success(.done)
        case .limit(let id, let mibS):
            try db.run("UPDATE task SET bandwidth_mib_s = ? WHERE id = ?", [mibS, id.text])
            return .success(.done)
        case .abort(let id):
            try db.run("UPDATE task SET is_abort_requested = 1 WHERE id = ?", [id.text])
            return .success(.done)
        case .remark(let id):
            try db.run(Self.remarkSQL, [history, id.text])
            return .success(.done)
        case .settle(let id, let secrets):
            try settle(db, id, secrets, history)
            return .success(.done)
        case .prune(let time, let limit):
            try db.run(Self.pruneRequestsSQL, [time, limit])
            try db.run(Self.pruneTasksSQL, [time, limit])
            return .success(.count(db.changesCount))
        case .probe(let time, let bytes):
            try db.run("INSERT INTO probe (id, at) VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET at = excluded.at", [time])
            try db.run("DELETE FROM request WHERE sequence = -1", [])
            if bytes > 0 {
                let text = String(repeating: " ", count: bytes)
                try db.run("INSERT INTO request (sequence, args, context) VALUES (-1, ?, '')", [text])
            }
            return .success(.done)
        case .barrier: return .success(.done)
        }
    }

    private static let enterSQL = """
        UPDATE task SET phase = ?, started_at = coalesce(started_at, ?), history = \(HistoryText.appending)
        WHERE id = ? AND finished_at IS NULL
        """
    private static let planSQL = "REPLACE INTO plan (plan, sequence) SELECT ?, sequence FROM task WHERE id = ?"
    private static let finishSQL = finishSQL(also: "")
    private static let finishAndSettleSQL = finishSQL(also: ", is_settled = 1")
    private static func finishSQL(also more: String) -> String {
        """
        UPDATE task SET phase = ?1, result = coalesce(result, ?2), failure = \(concludedSQL), finished_at = ?4,
            history = \(HistoryText.appending)\(more)
        WHERE id = ? AND finished_at IS NULL
        """
    }
    /// What was answered ahead of the end stays, with how the task ended.
    private static let concludedSQL = """
        CASE WHEN failure IS NULL THEN ?3 WHEN ?3 IS NULL THEN failure
        ELSE json_set(failure, '$.conclusion', json_extract(?3, '$.conclusion'), '$.course', json_extract(?3, '$.course')) END
        """
    private static let answerSQL = """
        UPDATE task SET result = ?, failure = ? WHERE id = ? AND finished_at IS NULL AND result IS NULL AND failure IS NULL
        """
    private static let askSQL = """
        UPDATE task SET reply_to = json_insert(json_insert(\(keptCallersSQL), '$.more', json('[]')), '$.more[#]', json(?))
        WHERE id = ? AND is_settled = 0
        """
    private static let keptCallersSQL = """
        CASE WHEN length(reply_to) >= \(callersLimit) THEN json_remove(reply_to, '$.more[0]') ELSE coalesce(reply_to, '{}') END
        """
    /// Characters of all callers of a task: of one that asks more than a thousand times, the latest calls are answered.
    private static let callersLimit = 1 << 18
    private static let forgetReplySQL = "UPDATE task SET reply_to = NULL, history = \(HistoryText.appending) WHERE id = ?"
    private static let remarkSQL = "UPDATE task SET history = \(HistoryText.appending) WHERE id = ?"
    private static let settleSQL = """
        UPDATE task SET is_settled = 1, history = \(HistoryText.appending)
        WHERE id = ? AND finished_at IS NOT NULL AND is_settled = 0
        """
    private static let textsSQL = """
        SELECT args, context, result FROM task JOIN request USING (sequence) WHERE sequence = ?
        """
    private static let maskSQL = """
        UPDATE request SET args = coalesce(?, args), context = coalesce(?, context) WHERE sequence = ?
        """
    private static let prunedSQL =
        "SELECT sequence FROM task WHERE is_settled = 1 AND finished_at < ? ORDER BY finished_at LIMIT ?"
    private static let pruneRequestsSQL = "DELETE FROM request WHERE sequence IN (\(prunedSQL))"
    private static let pruneTasksSQL = "DELETE FROM task WHERE sequence IN (\(prunedSQL))"

    private func isKnown(_ db: Database, _ id: TaskID) throws -> Bool {
        try Int.fetchOne(db.cachedStatement(sql: "SELECT 1 FROM task WHERE id = ?"), arguments: [id.text]) != nil
    }

    private func unknown(_ id: TaskID, _ path: String) -> JournalError {
        JournalError(.unusable, "the journal \(path) has no task \(id.text); was the file replaced?")
    }

    private func settle(_ db: Database, _ id: TaskID, _ secrets: Secrets, _ history: String) throws {
        if case .kept = secrets { return try db.run(Self.settleSQL, [history, id.text]) }
        let statement = try db.cachedStatement(sql: Self.settleSQL + " RETURNING sequence")
        guard let sequence = try Int64.fetchOne(statement, arguments: [history, id.text]) else { return }
        let masked = if case .masked(let known) = secrets { known } else { try read(db, sequence) }
        if masked.args != nil || masked.context != nil {
            try db.run(Self.maskSQL, [masked.args, masked.context, sequence])
        }
        if let result = masked.result { try db.run("UPDATE task SET result = ? WHERE sequence = ?", [result, sequence]) }
        try db.run("DELETE FROM plan WHERE sequence = ?", [sequence])
    }

    private func read(_ db: Database, _ sequence: Int64) throws -> Masked {
        guard let row = try Row.fetchOne(db.cachedStatement(sql: Self.textsSQL), arguments: [sequence]) else { return Masked() }
        return Masked(stored: row[0], row[1], row[2])
    }
}
