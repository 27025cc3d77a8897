/// Lays out a move as a table for a terminal.
package struct MoveTable: Sendable {
    /// A line of the plan.
    package struct Row: Sendable {
        package var number: Int
        package var host: String
        /// The instance and the disk.
        package var place: String
        package var state: String
        /// Whether a worker is at it.
        package var isRunning: Bool
        /// The copied fraction, from 0 to 1; nil while unknown.
        package var fraction: Double?
        package var rate: String
        /// The time left.
        package var left: String

        package init(
            number: Int, host: String, place: String, state: String, isRunning: Bool, fraction: Double?, rate: String,
            left: String
        ) {
            self.number = number
            self.host = host
            self.place = place
            self.state = state
            self.isRunning = isRunning
            self.fraction = fraction
            self.rate = rate
            self.left = left
        }
    }

    private static let bar = 8

    /// The table's lines: those that run first, then those that did not end well, those to come, and the finished ones. What the terminal
    /// has no room for is summed up.
    ///
    /// - Parameters:
    ///   - columns: the terminal's width; 80 suffice for everything but long names, which are cut.
    ///   - height: the terminal's height.
    package static func lines(_ rows: [Row], columns: Int, height: Int) -> [String] {
        let room = max(1, height - 3)
        let ordered = rows.sorted { (rank($0), $0.number) < (rank($1), $1.number) }
        let shown = ordered.count <= room ? ordered[...] : ordered.prefix(room - 1)
        let rest = ordered.dropFirst(shown.count)
        var lines = [header] + shown.map(line)
        if !rest.isEmpty { lines.append("     and \(rest.count) more: \(sum(rest))") }
        lines.append(sum(ordered[...]))
        return lines.map { String($0.prefix(max(1, columns - 1))) }
    }

    /// `3 copying, 12 completed`
    package static func sum(_ rows: some Collection<Row>) -> String {
        var counts: [(state: String, count: Int)] = []
        for row in rows {
            if let index = counts.firstIndex(where: { $0.state == row.state }) {
                counts[index].count += 1
            } else {
                counts.append((row.state, 1))
            }
        }
        return counts.map { "\($0.count) \($0.state)" }.joined(separator: ", ")
    }

    private static func rank(_ row: Row) -> Int {
        if row.isRunning { return 0 }
        return switch row.state {
        case "pending": 2
        case "completed": 3
        default: 1
        }
    }

    private static let header = cells("LINE", "HOST", "INSTANCE/DISK", "STATE", "PROGRESS", "RATE", "LEFT")

    private static func line(_ row: Row) -> String {
        var progress = ""
        if let fraction = row.fraction {
            let filled = Int(min(1, max(0, fraction)) * Double(bar))
            let percent = right("\(Int(min(1, max(0, fraction)) * 100)) %", 5)
            progress = "[\(String(repeating: "#", count: filled))\(String(repeating: ".", count: bar - filled))] \(percent)"
        }
        return cells("\(row.number)", row.host, row.place, row.state, progress, row.rate, row.left)
    }

    private static func cells(
        _ number: String, _ host: String, _ place: String, _ state: String, _ progress: String, _ rate: String, _ left: String
    ) -> String {
        let cells = [
            right(number, 4), cut(host, 10), cut(place, 13), cut(state, 11), cut(progress, 16), cut(rate, 10),
            String(left.prefix(9)),
        ]
        let line = cells.joined(separator: " ")
        return String(line.reversed().drop { $0 == " " }.reversed())
    }

    private static func right(_ text: String, _ width: Int) -> String {
        String(repeating: " ", count: max(0, width - text.count)) + text
    }

    private static func cut(_ text: String, _ width: Int) -> String {
        let kept = text.count <= width ? text : String(text.prefix(width - 1)) + "~"
        return kept + String(repeating: " ", count: width - kept.count)
    }
}
