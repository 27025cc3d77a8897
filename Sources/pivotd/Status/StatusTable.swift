import Basics
import Foundation
import JSON

/// Formats tasks for people.
struct StatusTable {
    /// Width of the output in columns.
    var columns = 80
    /// Lines that a list may take; nil for any number.
    var height: Int?
    /// Whether ids are shown in full, however wide that is.
    var hasFullIDs = false
    /// Whether the list's lines fit the width; a file or a pipe gets them whole.
    var isFitted = true
    var now = Date.now

    /// A line for each task: running ones, then waiting ones, then ended ones, newest first.
    func list(_ swaps: [JSONValue]) -> String {
        guard !swaps.isEmpty else { return "no swaps" }
        let states = Self.sorted(swaps.map { SwapState($0) })
        let tasks = ShortIDs(states.map(\.taskID), isFull: hasFullIDs)
        let instances = ShortIDs(states.map(\.instance).filter(Self.isUUID), isFull: hasFullIDs)
        let rows = states.map { state in
            [tasks.short(state.taskID), instance(state.instance, instances), state.disk, state.name, age(state)] + copy(state)
        }
        let header = ["TASK", "INSTANCE", "DISK", "STATE", "AGE", "COPIED", "RATE/s", "LIMIT/s", "LEFT"]
        // A remark takes the place of the copy's cells, so it must not widen their columns.
        let widths = Self.widths(of: [header] + rows)
        var lines = [cut(Self.line(header, widths))]
        let blocks = zip(states, rows).map { state, row in block(state, Self.line(row, widths), widths) }
        let shown = fitting(blocks, below: lines)
        for block in shown { lines += block }
        if shown.count < blocks.count { lines.append("and \(blocks.count - shown.count) more") }
        return lines.joined(separator: "\n")
    }

    /// The lines of a task.
    private func block(_ state: SwapState, _ line: String, _ widths: [Int]) -> [String] {
        guard state.isQueued || state.isFinal else {
            let detail = state.detail.map { isFitted ? Wrapping.lines($0, width: columns - 2) : [$0] } ?? []
            return ([line] + detail.map { "  \($0)" }).map { cut($0) }
        }
        let gap = String(repeating: " ", count: max(0, widths.prefix(5).reduce(10, +) - line.count))
        return [cut(line + gap + remark(state))]
    }

    /// The first tasks, as many as there is room for with the number of the others.
    private func fitting(_ blocks: [[String]], below header: [String]) -> ArraySlice<[String]> {
        guard let height else { return blocks[...] }
        var room = height - rows(of: header)
        guard blocks.reduce(0, { $0 + rows(of: $1) }) > room else { return blocks[...] }
        room -= 1
        return blocks.prefix { block in
            room -= rows(of: block)
            return room >= 0
        }
    }

    /// What the lines take of the terminal: with ids in full they may be longer than it is wide.
    private func rows(of lines: [String]) -> Int {
        lines.reduce(0) { $0 + max(1, ($1.count + columns - 1) / columns) }
    }

    /// All details of one task, one per line.
    func details(_ swap: JSONValue) -> String {
        let state = SwapState(swap)
        var rows: [[String]] = []
        for (key, value) in swap.objectValue ?? [:] where !["progress", "result", "failure"].contains(key) && !value.isNull {
            rows.append(["\(key):", (value.stringValue ?? value.serialized()).escapingControls])
        }
        if let fraction = state.fraction, !state.isFinal || fraction > 0 {
            rows.append(["progress:", ProgressBar.text(state.disk, state)])
        }
        if let limit = state.limit, !state.isFinal { rows.append(["limit:", "\(Quantity.bytes(limit))/s"]) }
        if let failure = state.failure { rows.append(["failure:", failure]) }
        for warning in swap["result"]?["warnings"]?.arrayValue?.compactMap(\.stringValue) ?? [] {
            rows.append(["warning:", warning.escapingControls])
        }
        let indent = (rows.map { $0[0].count }.max() ?? 0) + 2
        return rows.map { row in
            let lines = Wrapping.lines(row[1], width: columns - indent)
            let head = row[0] + String(repeating: " ", count: indent - row[0].count)
            return head + lines.joined(separator: "\n" + String(repeating: " ", count: indent))
        }.joined(separator: "\n")
    }

    /// Running tasks and waiting ones in order of arrival, then those that have ended, newest first.
    static func sorted(_ states: [SwapState]) -> [SwapState] {
        let arrival = { (left: SwapState, right: SwapState) in
            (left.acceptedAt ?? .distantPast) < (right.acceptedAt ?? .distantPast)
        }
        let underWay = states.filter { !$0.isFinal && !$0.isQueued }.sorted(by: arrival)
        let ended = states.filter(\.isFinal).sorted { ($0.finishedAt ?? .distantPast) > ($1.finishedAt ?? .distantPast) }
        return underWay + states.filter(\.isQueued).sorted(by: arrival) + ended
    }

    /// The cells of a running copy; none for others.
    private func copy(_ state: SwapState) -> [String] {
        guard !state.isQueued, !state.isFinal else { return [] }
        return [
            state.percent, state.rate.map { Quantity.bytes(Int64($0)) } ?? "-", state.limit.map(Quantity.bytes) ?? "-",
            state.secondsLeft.map(Quantity.short) ?? "-",
        ]
    }

    private func remark(_ state: SwapState) -> String {
        if state.isQueued { return state.waitsFor.map { "waits for \($0)" } ?? "" }
        if state.isSuccess {
            let time = state.duration.map { " in \(Quantity.short($0))" } ?? ""
            return (state.copied.map(Quantity.bytes) ?? "") + time
        }
        let place =
            switch state.inUse {
            case "old"?, "new"?: ", on the \(state.inUse ?? "") volume"
            case "unknown"?: ", in use: unknown"
            default: ""
            }
        return (state.reasonCode ?? "") + place
    }

    private func age(_ state: SwapState) -> String {
        state.acceptedAt.map { Quantity.short(max(0, now.timeIntervalSince($0))) } ?? "-"
    }

    /// Names differ at their ends.
    private func instance(_ name: String, _ ids: ShortIDs) -> String {
        if hasFullIDs || name.count <= 8 { return name }
        return Self.isUUID(name) ? ids.short(name) : "…" + name.suffix(7)
    }

    private static func isUUID(_ text: String) -> Bool { UUID(uuidString: text) != nil }

    private func cut(_ line: String) -> String {
        hasFullIDs || !isFitted || line.count <= columns ? line : String(line.prefix(columns - 1)) + "…"
    }

    /// Cells in columns, separated by two blanks.
    static func aligned(_ rows: [[String]]) -> String {
        let widths = widths(of: rows)
        return rows.map { line($0, widths) }.joined(separator: "\n")
    }

    private static func widths(of rows: [[String]]) -> [Int] {
        var widths: [Int] = []
        for row in rows {
            for (column, cell) in row.enumerated() {
                if column == widths.count { widths.append(0) }
                widths[column] = max(widths[column], cell.count)
            }
        }
        return widths
    }

    private static func line(_ row: [String], _ widths: [Int]) -> String {
        row.enumerated().map { column, cell in
            column == row.count - 1 ? cell : cell + String(repeating: " ", count: widths[column] - cell.count)
        }.joined(separator: "  ")
    }
}

/// Breaks text into lines.
enum Wrapping {
    /// The lines of a text, at most `width` wide unless a single word is wider; at least one.
    static func lines(_ text: String, width: Int) -> [String] {
        if text.count <= width { return [text] }
        var lines: [String] = []
        var line = ""
        for word in text.split(separator: " ") {
            if line.isEmpty {
                line = String(word)
            } else if line.count + 1 + word.count <= max(20, width) {
                line += " " + word
            } else {
                lines.append(line)
                line = String(word)
            }
        }
        return lines + [line]
    }
}
