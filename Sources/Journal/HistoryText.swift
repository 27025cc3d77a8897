import Basics
import Foundation
import GRDB
import VolumeSwap

/// A task's history as the journal stores it: a line for each event, which begins with the time in milliseconds.
///
/// It is a column of the task's row and grows with changes that rewrite the row anyway. Its size is bounded: a long history keeps
/// its beginning and its end. It is for people, so a failed transaction may lose some of it.
enum HistoryText {
    /// Characters above which a history is shortened.
    static let limit = 3000
    /// Characters that remain of the beginning and of the end.
    static let kept = (first: 1000, last: 1500)
    /// Maximum number of characters of a note.
    static let noteLimit = 480

    /// The new value of the column `history`, with a question mark for the lines to append.
    static let appending = """
        CASE WHEN length(history) <= \(limit) THEN history
        ELSE substr(history, 1, \(kept.first)) || char(10) || substr(history, -\(kept.last)) END || ?
        """

    static func line(_ entry: HistoryEntry) -> String {
        let time = Int64((entry.at.timeIntervalSince1970 * 1000).rounded())
        return switch entry.event {
        case .phase(let phase): "\(time) \(phase.rawValue)\n"
        case .note(let text): "\(time) note \(text.cut(to: noteLimit, atWord: true).replacingControls(with: " "))\n"
        case .reply(let fate): "\(time) reply \(fate.rawValue)\n"
        }
    }

    /// Reads a task's history; empty if there is no such task.
    static func entries(_ db: Database, of id: String) throws -> [HistoryEntry] {
        let statement = try db.cachedStatement(sql: "SELECT history FROM task WHERE id = ?")
        return entries(try String.fetchOne(statement, arguments: [id]) ?? "")
    }

    /// Reads a history; what was cut through is left out.
    static func entries(_ text: String) -> [HistoryEntry] { text.split(separator: "\n").compactMap(entry) }

    private static func entry(_ line: Substring) -> HistoryEntry? {
        let words = line.split(separator: " ", maxSplits: 1)
        // Thirteen digits until the year 2286; a line that lost its beginning has fewer.
        guard words.count == 2, words[0].utf8.count == 13, let time = Int64(words[0]) else { return nil }
        return event(words[1]).map { HistoryEntry($0, at: Date(timeIntervalSince1970: Double(time) / 1000)) }
    }

    private static func event(_ text: Substring) -> HistoryEntry.Event? {
        if let phase = SwapPhase(rawValue: String(text)) { return .phase(phase) }
        let words = text.split(separator: " ", maxSplits: 1)
        guard words.count == 2 else { return nil }
        switch words[0] {
        case "note": return .note(String(words[1]))
        case "reply": return ReplyFate(rawValue: String(words[1])).map { .reply($0) }
        default: return nil
        }
    }
}
