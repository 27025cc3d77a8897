import Foundation
import JSON

/// Formats tasks for people.
enum StatusTable {
    /// A line for each task.
    static func list(_ swaps: [JSONValue]) -> String {
        guard !swaps.isEmpty else { return "no swaps" }
        let header = ["TASK", "INSTANCE", "DISK", "STATE", "COPIED", "RATE", "LEFT", "AGE"]
        return aligned([header] + swaps.map { row(SwapState($0)) })
    }

    /// All details of one task, one per line.
    static func details(_ swap: JSONValue) -> String {
        let state = SwapState(swap)
        var rows: [[String]] = []
        for (key, value) in swap.objectValue ?? [:] where !["progress", "result", "failure"].contains(key) && !value.isNull {
            rows.append(["\(key):", value.stringValue?.escapingControls ?? value.serialized()])
        }
        if let fraction = state.fraction, !state.isFinal || fraction > 0 {
            rows.append(["progress:", ProgressBar.text(state.disk, state)])
        }
        if let failure = state.failure { rows.append(["failure:", failure]) }
        for warning in swap["result"]?["warnings"]?.arrayValue?.compactMap(\.stringValue) ?? [] {
            rows.append(["warning:", warning.escapingControls])
        }
        return aligned(rows)
    }

    private static func row(_ state: SwapState) -> [String] {
        let age = state.acceptedAt.map { Quantity.duration(max(0, Date.now.timeIntervalSince($0))) }
        return [
            state.taskID, state.instance, state.disk, state.name, state.percent,
            state.isFinal ? "-" : state.rate.map { "\(Quantity.bytes(Int64($0)))/s" } ?? "-",
            state.isFinal ? "-" : state.secondsLeft.map(Quantity.duration) ?? "-", age ?? "-",
        ]
    }

    /// Cells in columns, separated by two blanks.
    static func aligned(_ rows: [[String]]) -> String {
        var widths: [Int] = []
        for row in rows {
            for (column, cell) in row.enumerated() {
                if column == widths.count { widths.append(0) }
                widths[column] = max(widths[column], cell.count)
            }
        }
        return rows.map { row in
            row.enumerated().map { column, cell in
                column == row.count - 1 ? cell : cell + String(repeating: " ", count: widths[column] - cell.count)
            }.joined(separator: "  ")
        }.joined(separator: "\n")
    }
}
