import Foundation
import GRDB
import Logging
package import VolumeSwap

extension SQLiteJournal {
    /// All unsettled tasks, in order of arrival; unreadable ones are logged and skipped.
    ///
    /// - Throws: ``JournalError`` if the journal cannot be read.
    package func unfinished() async throws(JournalError) -> [UnfinishedTask] {
        // In order of arrival, which steps of the wall clock do not affect.
        let condition = " WHERE is_settled = 0 AND finished_at IS NULL AND \(Self.hasBegun) ORDER BY task.sequence"
        let begun = try await records(sql: TaskRow.select + condition, arguments: [])
        let others = try await read { db in
            try Array(
                Row.fetchCursor(db.cachedStatement(sql: Self.selectUnfinished)).map { row in
                    (id: TaskRow.id(row), task: try? Self.task(row))
                })
        }
        for (id, task) in others where task == nil { unreadable.report(id, logger) }
        return begun.map(UnfinishedTask.init) + others.compactMap(\.task)
    }

    /// Arguments that SQLite's limits on JSON exclude name no volume that anybody would ask for.
    private static let hasVolume = """
        task.sequence IN (SELECT sequence FROM request WHERE instr(args, ?) > 0 AND CASE WHEN json_valid(args) THEN
            ? IN (json_extract(args, '$.old_volume_id'), json_extract(args, '$.new_volume_id')) END)
        """
    private static let hasBegun = "(plan.sequence IS NOT NULL OR result IS NOT NULL OR failure IS NOT NULL)"

    /// Of the requests only the new volume's ids, since there may be very many of these.
    private static let selectUnfinished = """
        SELECT id, instance_key, phase, disk, CASE WHEN instr(reply_to, '"timeout"') THEN reply_to END, accepted_at,
            \(argument("new_volume_id")), \(argument("new_connection_info.serial")),
            \(argument("new_connection_info.data.volume_id")), coalesce(is_abort_requested, 0)
        FROM task LEFT JOIN plan USING (sequence) LEFT JOIN request USING (sequence)
        WHERE is_settled = 0 AND (finished_at IS NOT NULL OR NOT \(hasBegun))
        ORDER BY finished_at IS NOT NULL, task.sequence
        """

    /// An argument of a task that is not over.
    private static func argument(_ path: String) -> String {
        "CASE WHEN finished_at IS NULL AND json_valid(args) THEN json_extract(args, '$.\(path)') END"
    }

    /// Not by subscripts, which trap where a column does not hold what was written.
    private static func task(_ row: Row) throws -> UnfinishedTask? {
        guard let phase = SwapPhase(rawValue: try row.decode(String.self, atIndex: 2)) else { return nil }
        let id = TaskID(try row.decode(String.self, atIndex: 0))
        if phase.isFinal { return .over(id, phase) }
        let found = try? JournalCoding.callers(row[4] as String?)
        return .waiting(
            UnfinishedTask.Waiting(
                id: id, phase: phase, instanceKey: try row.decode(String.self, atIndex: 1),
                disk: try row.decode(String.self, atIndex: 3),
                acceptedAt: Date(timeIntervalSince1970: try row.decode(Double.self, atIndex: 5)),
                newVolumeIDs: (6...8).compactMap { String.fromDatabaseValue(row[$0] as DatabaseValue) },
                callers: (found.map { [$0.first].compactMap { $0 } + $0.more } ?? []).filter { $0.timeout != nil },
                isAbortRequested: try row.decode(Bool.self, atIndex: 9)))
    }

    package func record(_ id: TaskID) async throws(JournalError) -> SwapRecord? {
        let path = path
        let found = try await read { db in
            try TaskRow.fetch(db, id: id.text).map { row in
                Result { () throws(JournalError) in try TaskRow.record(row, path: path) }
            }
        }
        if case .failure? = found { unreadable.report(id.text, logger) }
        return try found?.get()
    }

    /// Reads what has happened to a task, in order; empty if there is none with this id.
    ///
    /// - Throws: ``JournalError`` if the journal cannot be read.
    package func history(_ id: TaskID) async throws(JournalError) -> [HistoryEntry] {
        try await read { db in try HistoryText.entries(db, of: id.text) }
    }

    /// Reads the selected tasks, newest first; unreadable ones are logged and skipped.
    ///
    /// - Throws: ``JournalError`` if the journal cannot be read.
    package func records(_ query: SwapQuery) async throws(JournalError) -> [SwapRecord] {
        var conditions: [String] = []
        var arguments: [any DatabaseValueConvertible] = []
        if !query.instanceKeys.isEmpty {
            conditions.append("instance_key IN (\(query.instanceKeys.map { _ in "?" }.joined(separator: ", ")))")
            arguments += query.instanceKeys
        }
        if let disk = query.disk {
            conditions.append("disk = ?")
            arguments.append(disk)
        }
        if let prefix = query.idPrefix {
            conditions.append("id >= ? AND id < ? || char(1114111)")
            arguments += [prefix, prefix]
        }
        if let volume = query.volumeID {
            conditions.append(Self.hasVolume)
            arguments += [volume, volume]
        }
        // As JSONEncoder writes it; within a reason its quotes are escaped.
        if query.isStranded { conditions.append(#"instr(failure, '"isStranded":true') > 0"#) }
        if let states = query.states {
            let phases = SwapPhase.allCases.filter { states.contains($0.publicState) }
            // Unfinished tasks are few, and unsettled ones are indexed.
            if !phases.contains(where: \.isFinal) { conditions.append("is_settled = 0") }
            conditions.append("phase IN (\(phases.map { _ in "?" }.joined(separator: ", ")))")
            arguments += phases.map(\.rawValue)
        }
        let filter = conditions.isEmpty ? "" : "WHERE " + conditions.joined(separator: " AND ")
        // The very task of that name before those whose ids only begin with it.
        if let prefix = query.idPrefix { arguments.append(prefix) }
        let first = query.idPrefix == nil ? "" : "id = ? DESC, "
        let sql = "\(TaskRow.select) \(filter) ORDER BY \(first)task.sequence DESC LIMIT ?"
        return try await records(sql: sql, arguments: StatementArguments(arguments + [max(0, query.limit)]))
    }

    private func records(sql: String, arguments: StatementArguments) async throws(JournalError) -> [SwapRecord] {
        let path = path
        let results = try await read { db in
            try Array(
                Row.fetchCursor(db.cachedStatement(sql: sql), arguments: arguments).map { row in
                    (id: TaskRow.id(row), record: try? TaskRow.record(row, path: path))
                })
        }
        // One unreadable task must not hide all others or keep the worker from starting.
        return results.compactMap { id, record in
            if record == nil { unreadable.report(id, logger) }
            return record
        }
    }
}
