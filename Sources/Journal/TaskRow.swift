import Foundation
import GRDB
import JSON
import VolumeSwap

/// A task as its rows in `task`, `request` and `plan`. Decoded by member names; written by hand for speed.
struct TaskRow: Sendable, Decodable, FetchableRecord {
    private enum CodingKeys: String, CodingKey {
        case id, disk, args, context, phase, plan, result, failure, sequence
        case instanceKey = "instance_key"
        case replyTo = "reply_to"
        case acceptedAt = "accepted_at"
        case startedAt = "started_at"
        case finishedAt = "finished_at"
        case isSettled = "is_settled"
        case bandwidthMiBs = "bandwidth_mib_s"
        case isAbortRequested = "is_abort_requested"
    }

    var id: String
    var instanceKey: String
    var disk: String
    var args: String
    var context: String
    var replyTo: String?
    var acceptedAt: Double
    var startedAt: Double?
    var finishedAt: Double?
    var phase: String
    var plan: String?
    var result: String?
    var failure: String?
    var isSettled: Bool
    var bandwidthMiBs: Int64?
    /// nil counts as false.
    var isAbortRequested: Bool?
    /// The task's position among all; nil appends it.
    var sequence: Int64?

    /// A missing request reads as an unreadable one.
    static let select = """
        SELECT task.*, coalesce(args, '') AS args, coalesce(context, '') AS context, plan
        FROM task LEFT JOIN request USING (sequence) LEFT JOIN plan USING (sequence)
        """
    private static let insertTask = """
        INSERT INTO task (sequence, id, instance_key, disk, reply_to, accepted_at, started_at, finished_at, phase, result, failure)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING
        """

    init(_ record: SwapRecord) throws(JournalError) {
        let record = record.facts
        id = record.id.text
        instanceKey = record.instanceKey
        disk = record.disk
        args = JSONValue.object(record.args).serialized()
        context = JSONValue.object(record.context).serialized()
        replyTo = record.replyTo.map(JournalCoding.text)
        acceptedAt = record.acceptedAt.timeIntervalSince1970
        startedAt = record.startedAt?.timeIntervalSince1970
        finishedAt = record.finishedAt?.timeIntervalSince1970
        phase = record.phase.rawValue
        plan = try record.plan.map { plan throws(JournalError) in try JournalCoding.text(plan) }
        (result, failure) = try JournalCoding.texts(record.outcome)
        isSettled = false
    }

    /// - Returns: false if a task with this id exists.
    func insert(_ db: Database) throws -> Bool {
        try db.run(
            Self.insertTask,
            [sequence, id, instanceKey, disk, replyTo, acceptedAt, startedAt, finishedAt, phase, result, failure])
        guard db.changesCount > 0 else { return false }
        let sequence = db.lastInsertedRowID
        try db.run("INSERT INTO request (sequence, args, context) VALUES (?, ?, ?)", [sequence, args, context])
        if let plan { try db.run("INSERT INTO plan (sequence, plan) VALUES (?, ?)", [sequence, plan]) }
        return true
    }

    /// A row of ``select``, for ``record(_:path:)``.
    static func fetch(_ db: Database, id: String) throws -> Row? {
        try Row.fetchOne(db.cachedStatement(sql: select + " WHERE id = ?"), arguments: [id])
    }

    /// The task's id, from a row whose other columns may not be readable.
    static func id(_ row: Row) -> String { String.fromDatabaseValue(row["id"] as DatabaseValue) ?? "?" }

    /// The task of a row of ``select``.
    ///
    /// - Throws: ``JournalError`` of code `unusable` if the row does not hold what was written.
    static func record(_ row: Row, path: String) throws(JournalError) -> SwapRecord {
        do {
            return try TaskRow(row: row).record()
        } catch {
            // Without the underlying error, which may quote the data.
            throw JournalError.damaged(path, "the row of task \(id(row)) cannot be read")
        }
    }

    private func record() throws -> SwapRecord {
        guard let phase = SwapPhase(rawValue: phase) else { throw CocoaError(.coderReadCorrupt) }
        var record = SwapRecord(
            id: TaskID(id), instanceKey: instanceKey, disk: disk, args: try JournalCoding.object(args),
            context: try JournalCoding.object(context),
            replyTo: nil, acceptedAt: Date(timeIntervalSince1970: acceptedAt))
        (record.replyTo, record.askers) = try JournalCoding.callers(replyTo)
        record.startedAt = startedAt.map(Date.init(timeIntervalSince1970:))
        record.finishedAt = finishedAt.map(Date.init(timeIntervalSince1970:))
        record.phase = phase
        record.bandwidthMiBs = bandwidthMiBs
        record.isAbortRequested = isAbortRequested ?? false
        record.plan = try plan.map { try JournalCoding.value(SwapPlan.self, $0) }
        record.outcome = try JournalCoding.outcome(result: result, failure: failure)
        record.isReplied = isSettled || record.replyTo == nil
        return record
    }
}

/// Converts records to and from JSON strings.
enum JournalCoding {
    static func text(_ value: some Encodable) throws(JournalError) -> String {
        do {
            return String(decoding: try JSONEncoder().encode(value), as: UTF8.self)
        } catch {
            throw JournalError(.unusable, "a record cannot be written as JSON: \(type(of: value))")
        }
    }

    /// As `JSONEncoder` writes it, which takes longer than the rest of a task's acceptance.
    static func text(_ replyTo: ReplyTo) -> String {
        var members: JSONObject = ["messageID": .string(replyTo.messageID), "queue": .string(replyTo.queue)]
        members["timeout"] = replyTo.timeout.map { .real($0) }
        return JSONValue.object(members).serialized()
    }

    /// The first caller, nil for a cast, and the others; see ``JournalWrite/ask(_:caller:)``.
    static func callers(_ text: String?) throws -> (first: ReplyTo?, more: [ReplyTo]) {
        guard let text else { return (nil, []) }
        let stored = JSONValue.object(try object(text))
        let more = try (stored["more"]?.arrayValue ?? []).map { try value(ReplyTo.self, $0.serialized()) }
        return (stored["messageID"] == nil ? nil : try value(ReplyTo.self, text), more)
    }

    static func value<Value: Decodable>(_ type: Value.Type, _ text: String) throws -> Value {
        try JSONDecoder().decode(type, from: Data(text.utf8))
    }

    static func object(_ text: String) throws -> JSONObject {
        guard let object = try JSONValue(parsing: text).objectValue else { throw CocoaError(.coderReadCorrupt) }
        return object
    }

    static func texts(_ outcome: SwapOutcome?) throws(JournalError) -> (result: String?, failure: String?) {
        switch outcome {
        case nil: (nil, nil)
        case .success(let result): (result.json.serialized(), nil)
        case .failure(let failure): (nil, try text(failure))
        }
    }

    static func outcome(result: String?, failure: String?) throws -> SwapOutcome? {
        if let result {
            guard let result = SwapResult(json: try JSONValue(parsing: result)) else { throw CocoaError(.coderReadCorrupt) }
            return .success(result)
        }
        return try failure.map { .failure(try value(SwapFailure.self, $0)) }
    }
}
