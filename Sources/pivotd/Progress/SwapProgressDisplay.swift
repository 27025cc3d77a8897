import Basics
import JSON

/// Draws the state of one swap on standard error.
struct SwapProgressDisplay {
    private let disk: String
    private let isTerminal: Bool
    /// The last tenth for which a line was printed.
    private var tenth = -1
    private var phase = ""
    private var hasBar = false

    init(disk: String, isTerminal: Bool) {
        self.disk = disk
        self.isTerminal = isTerminal
    }

    mutating func show(_ state: SwapState) {
        guard isTerminal else { return showLine(state) }
        hasBar = true
        StandardStream.error.write("\r" + ProgressBar.line(disk, state, columns: StandardStream.error.columns) + "\u{1B}[K")
    }

    /// Removes the bar, so that a message gets a line to itself.
    mutating func clear() {
        if hasBar { StandardStream.error.write("\r\u{1B}[K") }
        hasBar = false
    }

    /// Prints a summary of the swap's result.
    mutating func finish(_ result: JSONValue) {
        clear()
        let size = (result["capacity_bytes"] ?? result["copied_bytes"])?.integerValue
        let seconds = result["duration_s"]?.doubleValue
        let parts = [size.map(Quantity.bytes), seconds.map { "in \(Quantity.duration($0))" }].compactMap(\.self)
        StandardStream.error.write(line: (["\(disk): completed"] + parts).joined(separator: ", ").escapingControls)
        for warning in result["warnings"]?.arrayValue?.compactMap(\.stringValue) ?? [] {
            StandardStream.error.write(line: "warning: \(warning)".escapingControls)
        }
    }

    private mutating func showLine(_ state: SwapState) {
        let tenth = Int((state.fraction ?? 0) * 10)
        guard tenth > self.tenth || state.name != phase else { return }
        (self.tenth, phase) = (tenth, state.name)
        StandardStream.error.write(line: ProgressBar.text(disk, state))
    }
}
