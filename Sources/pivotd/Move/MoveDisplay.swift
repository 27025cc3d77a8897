import Basics
import BulkMove
import Foundation
import JSON

/// Shows a move on standard output: a table on a terminal, elsewhere a line for each change of state. What a reader does not take in time
/// is left out, and caught up with once it reads again.
struct MoveDisplay {
    private static let redrawInterval = Duration.milliseconds(200)

    private let output: DisplayOutput
    private let isTerminal = StandardStream.output.isTerminal
    /// What was last said of each line.
    private var said: [Int: String] = [:]
    private var progress: [Int: SwapState] = [:]
    private var silence: [Int: String] = [:]
    private var drawn: (lines: Int, at: ContinuousClock.Instant)?
    private var hasSaidThatItWaits = false

    init(_ output: DisplayOutput = DisplayOutput()) { self.output = output }

    mutating func note(_ state: SwapState, of index: Int) {
        progress[index] = state
        silence[index] = nil
    }

    /// The worker does not know the line's attempt: nothing that was said of another one is true of it.
    mutating func forget(_ index: Int) {
        progress[index] = nil
        silence[index] = nil
    }

    mutating func note(silence reason: String, of index: Int) { silence[index] = reason }

    /// - Parameter isLast: Whether the schedule is over, or this command is.
    mutating func show(_ schedule: MoveSchedule, isLast: Bool) {
        guard isLast || output.hasRoom else { return }
        let news = news(schedule)
        if isTerminal, let drawn, news.isEmpty, !isLast, .now - drawn.at < Self.redrawInterval { return }
        var text = ""
        if isTerminal, let drawn { text += "\u{1B}[\(drawn.lines)A\r\u{1B}[J" }
        for line in news { text += line.escapingControls + "\n" }
        let rows = schedule.entries.indices.map { row(schedule.entries[$0], $0) }
        if isTerminal {
            let table = MoveTable.lines(rows, columns: StandardStream.output.columns, height: StandardStream.output.rows)
            for line in table { text += line.escapingControls + "\n" }
            drawn = (table.count, .now)
        } else if isLast {
            text += MoveTable.sum(rows) + "\n"
        }
        output.write(text)
    }

    /// Waits for the reader, at the end.
    func flush() async { await output.flush() }

    /// What has changed: on a terminal only what the table has no room for.
    private mutating func news(_ schedule: MoveSchedule) -> [String] {
        var news: [String] = []
        for (index, entry) in schedule.entries.enumerated() {
            let text = Self.text(entry, silence: entry.isRunning ? silence[index] : nil)
            guard said.updateValue(text, forKey: index) != text else { continue }
            let isBad = entry.mustBeRead || entry.isPending && entry.attempt > 1
            if isTerminal ? isBad : !(entry.isPending && entry.attempt == 1) { news.append("\(entry.name): \(text)") }
            for warning in entry.warnings { news.append("\(entry.name): warning: \(warning)") }
        }
        let waits = schedule.isWaitingForWindow(at: .now)
        if waits, !hasSaidThatItWaits, let window = schedule.window { news.append("nothing more starts until \(window.opening)") }
        hasSaidThatItWaits = waits
        return news
    }

    private static func text(_ entry: MoveEntry, silence: String?) -> String {
        switch entry.state {
        case .pending:
            entry.previous.map { "\(failure($0)); to be retried (attempt \(entry.attempt))" } ?? entry.stateName
        case .running(let status?) where status.isRollingBack: "\(failure(status)) (its rollback goes on)"
        case .running: silence.map { "no answer: \($0)" } ?? entry.stateName
        case .ended(let status): status.isSuccess ? entry.stateName : failure(status)
        case .refused(let refusal): "refused: \(refusal.message)"
        case .unreachable: "gave up: its host does not answer"
        }
    }

    private static func failure(_ status: MoveStatus) -> String {
        "\(status.state)\(status.reasonCode.map { " (\($0))" } ?? ""): \(status.message ?? "no reason was given")"
    }

    private func row(_ entry: MoveEntry, _ index: Int) -> MoveTable.Row {
        let state = entry.isRunning ? progress[index] : nil
        return MoveTable.Row(
            number: entry.line.number, host: entry.line.host, place: "\(entry.line.instance.prefix(8))/\(entry.line.disk)",
            state: entry.isRunning && silence[index] != nil ? "no answer" : entry.stateName, isRunning: entry.isRunning,
            fraction: entry.isSuccess ? 1 : state?.fraction, rate: state?.rate.map { "\(Quantity.bytes(Int64($0)))/s" } ?? "",
            left: state?.secondsLeft.map(Quantity.duration) ?? "")
    }
}

extension MoveEntry {
    /// The line for people.
    var name: String { "line \(line.number): \(line.host) \(line.instance)/\(line.disk)" }

    /// Whether it has ended in another way than by moving.
    fileprivate var mustBeRead: Bool {
        switch state {
        case .ended(let status): !status.isSuccess
        case .refused, .unreachable: true
        case .running(let status): status?.isRollingBack ?? false
        case .pending: false
        }
    }

    fileprivate var warnings: [String] { if case .ended(let status) = state { status.warnings } else { [] } }
}
