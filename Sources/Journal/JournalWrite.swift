import Foundation
import GRDB
import JSON
import VolumeSwap

/// One change of the journal, its texts made by the caller so that the writer has little to do.
enum JournalWrite: Sendable {
    case accept(TaskRow)
    case enter(TaskID, SwapPhase, plan: String?, at: Double)
    case finish(TaskID, SwapPhase, result: String?, failure: String?, at: Double)
    case settle(TaskID)
    case prune(before: Double, limit: Int)
    case probe(at: Double)
    /// Nothing: returns when all that came before it was tried.
    case barrier

    var task: TaskID? {
        switch self {
        case .accept(let row): TaskID(row.id)
        case .enter(let id, _, _, _), .finish(let id, _, _, _, _), .settle(let id): id
        case .prune, .probe, .barrier: nil
        }
    }

    /// True for what promises the outside that it is there after a restart.
    var needsFileInPlace: Bool {
        switch self {
        case .accept, .probe: true
        default: false
        }
    }
}

enum WriteOutput: Sendable {
    case done
    case acceptance(Acceptance)
    case count(Int)
}

extension JournalWrite {
    /// Carries the change out.
    ///
    /// - Returns: the failure of this change alone, where it makes no sense.
    /// - Throws: SQLite's errors, which spoil the whole transaction.
    func apply(_ db: Database, path: String) throws -> Result<WriteOutput, JournalError> {
        switch self {
        case .accept(let row):
            if try row.insert(db) { return .success(.acceptance(.new)) }
            guard let stored = try TaskRow.fetch(db, id: row.id) else { return .success(.acceptance(.new)) }
            return Result { () throws(JournalError) in .acceptance(.duplicate(try stored.record(path: path))) }
        case .enter(let id, let phase, let plan, let time):
            try run(db, Self.enterSQL, [phase.rawValue, plan, phase == .accepted ? nil : time, id.text])
            return try db.changesCount > 0 || isKnown(db, id) ? .success(.done) : .failure(unknown(id, path))
        case .finish(let id, let phase, let result, let failure, let time):
            try run(db, Self.finishSQL, [phase.rawValue, result, failure, time, id.text])
            return try db.changesCount > 0 || isKnown(db, id) ? .success(.done) : .failure(unknown(id, path))
        case .settle(let id):
            try settle(db, id)
            return .success(.done)
        case .prune(let time, let limit):
            try run(db, Self.pruneSQL, [time, limit])
            return .success(.count(db.changesCount))
        case .probe(let time):
            try run(db, "INSERT INTO probe (id, at) VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET at = excluded.at", [time])
            return .success(.done)
        case .barrier: return .success(.done)
        }
    }

    private static let enterSQL = """
        UPDATE task SET phase = ?, plan = coalesce(?, plan), started_at = coalesce(started_at, ?) WHERE id = ? AND finished_at IS NULL
        """
    private static let finishSQL = """
        UPDATE task SET phase = ?, result = ?, failure = ?, finished_at = ? WHERE id = ? AND finished_at IS NULL
        """
    private static let settleSQL = """
        UPDATE task SET args = ?, context = ?, result = ?, plan = NULL, is_settled = 1 WHERE id = ?
        """
    private static let pruneSQL = """
        DELETE FROM task WHERE sequence IN (SELECT sequence FROM task WHERE is_settled = 1 AND finished_at < ? LIMIT ?)
        """

    private func run(_ db: Database, _ sql: String, _ arguments: StatementArguments) throws {
        try db.cachedStatement(sql: sql).execute(arguments: arguments)
    }

    private func isKnown(_ db: Database, _ id: TaskID) throws -> Bool {
        try Int.fetchOne(db.cachedStatement(sql: "SELECT 1 FROM task WHERE id = ?"), arguments: [id.text]) != nil
    }

    private func unknown(_ id: TaskID, _ path: String) -> JournalError {
        JournalError(.unusable, "the journal \(path) has no task \(id.text); was the file replaced?")
    }

    /// Texts in which nothing was masked are left as they are.
    private func settle(_ db: Database, _ id: TaskID) throws {
        let sql = "SELECT args, context, result FROM task WHERE id = ? AND finished_at IS NOT NULL AND is_settled = 0"
        guard let row = try Row.fetchOne(db.cachedStatement(sql: sql), arguments: [id.text]) else { return }
        let result: String? = row[2]
        try run(db, Self.settleSQL, [Self.masked(row[0]), Self.masked(row[1]), result.map(Self.masked), id.text])
    }

    private static func masked(_ text: String) -> String {
        guard let value = try? JSONValue(parsing: text) else { return "{}" }
        return value.redacted().serialized()
    }
}
