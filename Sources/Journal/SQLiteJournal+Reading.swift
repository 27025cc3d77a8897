import GRDB
import Logging
package import VolumeSwap

extension SQLiteJournal {
    package func unfinished() async throws(JournalError) -> [SwapRecord] {
        // In order of arrival, which no step of the wall clock changes.
        let condition = " WHERE is_settled = 0 ORDER BY finished_at IS NOT NULL, task.sequence"
        return try await records(sql: TaskRow.select + condition, arguments: [])
    }

    package func record(_ id: TaskID) async throws(JournalError) -> SwapRecord? {
        let path = path
        return try await read { db in try TaskRow.fetch(db, id: id.text)?.record(path: path) }
    }

    package func records(_ query: SwapQuery) async throws(JournalError) -> [SwapRecord] {
        var conditions: [String] = []
        var arguments: [any DatabaseValueConvertible] = []
        if let key = query.instanceKey {
            conditions.append("instance_key IN (?, ?, ?)")
            arguments += [key, key.lowercased(), "name:\(key)"]
        }
        if let disk = query.disk {
            conditions.append("disk = ?")
            arguments.append(disk)
        }
        if let states = query.states {
            let phases = SwapPhase.allCases.filter { states.contains($0.publicState) }
            // Unfinished tasks are few, and unsettled ones have an index.
            if !phases.contains(where: \.isFinal) { conditions.append("is_settled = 0") }
            conditions.append("phase IN (\(phases.map { _ in "?" }.joined(separator: ", ")))")
            arguments += phases.map(\.rawValue)
        }
        let filter = conditions.isEmpty ? "" : "WHERE " + conditions.joined(separator: " AND ")
        let sql = "\(TaskRow.select) \(filter) ORDER BY task.sequence DESC LIMIT ?"
        return try await records(sql: sql, arguments: StatementArguments(arguments + [max(0, query.limit)]))
    }

    private func records(sql: String, arguments: StatementArguments) async throws(JournalError) -> [SwapRecord] {
        let path = path
        let results = try await read { db in
            try Row.fetchAll(db.cachedStatement(sql: sql), arguments: arguments).map(TaskRow.init).map { row in
                (id: row.id, record: try? row.record(path: path))
            }
        }
        // One task that cannot be read must not hide all others, nor keep the worker from its start.
        return results.compactMap { id, record in
            if record == nil { unreadable.report(id, logger) }
            return record
        }
    }
}
