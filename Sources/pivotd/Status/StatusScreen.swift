import Basics
import Foundation
import JSON

/// Prints the answers of `pivotd status`, and that there is none while the worker restarts.
struct StatusScreen {
    let isOne: Bool
    let isJSON: Bool
    let hasFullIDs: Bool
    /// Whether each answer replaces the last one.
    let isRedrawn: Bool

    private var last: JSONValue?
    private var silentSince: Date?

    init(isOne: Bool, isJSON: Bool, hasFullIDs: Bool, isRedrawn: Bool) {
        self.isOne = isOne
        self.isJSON = isJSON
        self.hasFullIDs = hasFullIDs
        self.isRedrawn = isRedrawn
    }

    /// Whether the worker has answered before.
    var hasAnswer: Bool { last != nil }

    mutating func show(_ answer: JSONValue) {
        if silentSince != nil, !isOnTerminal { StandardStream.error.write(line: "the worker answers again") }
        (last, silentSince) = (answer, nil)
        if isJSON { return StandardStream.output.write(line: answer.serialized(indent: isRedrawn ? 0 : 2)) }
        draw(text(answer))
    }

    /// - Parameter reason: Why there is no answer.
    mutating func showSilence(_ reason: String) {
        let isNew = silentSince == nil
        let since = silentSince ?? .now
        silentSince = since
        let message = "The worker has not answered since \(Quantity.timeOfDay(since)) UTC, trying again: \(reason)"
        if isOnTerminal {
            let lines = Wrapping.lines(message, width: StandardStream.output.columns)
            let list = last.map { text($0, below: lines.count + 1) } ?? ""
            draw(([list, ""] + lines).joined(separator: "\n"))
        } else if isNew {
            StandardStream.error.write(line: message)
        }
    }

    private var isOnTerminal: Bool { !isJSON && isRedrawn && StandardStream.output.isTerminal }

    /// - Parameter below: Lines that follow.
    private func text(_ answer: JSONValue, below: Int = 0) -> String {
        let output = StandardStream.output
        // The cursor stands below the text.
        let table = StatusTable(
            columns: output.columns, height: isOnTerminal ? output.rows - 2 - below : nil, hasFullIDs: hasFullIDs,
            isFitted: output.isTerminal)
        return isOne ? table.details(answer) : table.list(answer["swaps"]?.arrayValue ?? [])
    }

    private func draw(_ text: String) {
        // Cursor home, then erase below: avoids flicker.
        StandardStream.output.write(isOnTerminal ? "\u{1B}[H\u{1B}[J\(text)\n" : "\(text)\n")
    }
}
