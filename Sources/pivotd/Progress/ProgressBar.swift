import Basics

/// One line that shows a swap's progress.
enum ProgressBar {
    /// The line with a bar that fills the terminal's width.
    static func line(_ disk: String, _ state: SwapState, columns: Int) -> String {
        let (head, tail) = ("\(disk) ", " " + facts(state))
        let room = min(40, columns - head.count - tail.count - 3)
        guard room >= 8, let fraction = state.fraction else { return String(text(disk, state).prefix(max(1, columns - 1))) }
        let filled = Int((fraction * Double(room)).rounded(.down))
        return "\(head)[\(String(repeating: "#", count: filled))\(String(repeating: ".", count: room - filled))]\(tail)"
    }

    /// The line without a bar.
    static func text(_ disk: String, _ state: SwapState) -> String { "\(disk): \(facts(state))" }

    private static func facts(_ state: SwapState) -> String {
        var facts: [String] = []
        if state.fraction != nil { facts.append(state.percent) }
        if let copied = state.copied, let total = state.total, total > 0 {
            facts.append("\(Quantity.bytes(copied)) of \(Quantity.bytes(total))")
        }
        if let rate = state.rate, !state.isFinal { facts.append("\(Quantity.bytes(Int64(rate)))/s") }
        if let seconds = state.secondsLeft, !state.isFinal { facts.append("\(Quantity.duration(seconds)) left") }
        return (facts + [state.name]).joined(separator: "  ")
    }
}
