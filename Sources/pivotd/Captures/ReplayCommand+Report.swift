import Basics
import Capture
import Foundation
import OsloMessaging
import Synchronization
import UnixSignals

/// Reports on standard output what becomes of each message, and a summary at the end; shows a bar on a terminal.
final class ReplayReport: Sendable {
    private struct State {
        var hasBar = false
        var barShown = ContinuousClock.now - .seconds(1)
        var replayer: Replayer?
    }

    private let readers: [CaptureReader]
    private let isQuiet: Bool
    private let isFiltered: Bool
    private let start = ContinuousClock.now
    private let hasTerminal = StandardStream.error.isTerminal
    private let state = Mutex(State())

    init(readers: [CaptureReader], isQuiet: Bool, isFiltered: Bool) {
        self.readers = readers
        self.isQuiet = isQuiet
        self.isFiltered = isFiltered
    }

    func replay(_ readers: [CaptureReader], _ target: any ReplayTarget, _ options: Replayer.Options) async throws {
        let replayer = Replayer(target: target, options: options) { [self] event in show(event) }
        state.withLock { $0.replayer = replayer }
        _ = try await replayer.replay(readers)
    }

    /// Runs the replay until it ends or a signal arrives, then prints the summary.
    ///
    /// - Throws: ``CommandFailure`` if anything differed from the recording.
    func follow(_ signals: UnixSignalsSequence, _ work: @escaping @Sendable () async throws -> Void) async throws {
        do {
            let interruption: @Sendable () async throws -> Void = {
                for await _ in signals { throw CommandFailure(.interrupted, "interrupted") }
                throw CancellationError()
            }
            try await alongside([interruption], work)
        } catch {
            clearBar()
            writeSummary()
            throw error is CommandFailure ? error : CommandFailure(.failure, "\(error)")
        }
        clearBar()
        writeSummary()
        if let problem { throw CommandFailure(.failure, problem) }
        if state.withLock({ $0.replayer })?.summary.requests == 0 {
            throw CommandFailure(
                .failure, "nothing was replayed: no request \(isFiltered ? "matches --filter" : "is in the capture")")
        }
    }

    private func show(_ event: Replayer.Event) {
        switch event {
        case .outcome(let message, let outcome, let duration):
            if !isQuiet { write([Self.line(message, outcome, duration)]) }
        case .difference(let place, let difference):
            let head = "#\(place.number) \(place.location): the answer differs from the recorded one"
            write([head] + difference.split(separator: "\n", omittingEmptySubsequences: false).map(String.init))
        case .broken(let location, let reason):
            clearBar()
            StandardStream.error.write(line: "\(location): \(reason)".escapingControls)
        }
        if hasTerminal { drawBar() }
    }

    private func write(_ lines: [String]) {
        clearBar()
        StandardStream.output.write(line: lines.map(\.escapingControls).joined(separator: "\n"))
    }

    private static func line(_ message: ReplayMessage, _ outcome: ReplayOutcome, _ duration: Duration) -> String {
        var words = ["#\(message.number)"]
        if case .request(let request) = message.content {
            words += [request.kind, request.method] + [request.instance, request.disk].compactMap(\.self)
        } else {
            words.append("unreadable")
        }
        return "\(words.joined(separator: " "))  \(outcome.summary)  \(Quantity.duration(duration / .seconds(1)))"
    }

    private func clearBar() {
        guard hasTerminal else { return }
        state.withLock { state in
            if state.hasBar { StandardStream.error.write("\r\u{1B}[K") }
            state.hasBar = false
        }
    }

    private func drawBar() {
        let replayer = state.withLock { state -> Replayer? in
            guard state.barShown.duration(to: .now) >= .milliseconds(100) else { return nil }
            (state.barShown, state.hasBar) = (.now, true)
            return state.replayer
        }
        guard let summary = replayer?.summary else { return }
        let fractions = readers.compactMap(\.fraction)
        var text = Quantity.count(summary.requests, "message")
        if fractions.count == readers.count, !fractions.isEmpty {
            let fraction = fractions.reduce(0, +) / Double(fractions.count)
            let filled = Int(fraction * 30)
            text =
                "[\(String(repeating: "#", count: filled))\(String(repeating: ".", count: 30 - filled))]"
                + " \(Int(fraction * 100)) %  \(text)"
        }
        StandardStream.error.write("\r\(text)\u{1B}[K")
    }

    private var problem: String? {
        guard let summary = state.withLock({ $0.replayer })?.summary else { return nil }
        let counts = [
            (summary.differences, "different from the recording"), (summary.lost, "lost"), (summary.brokenLines, "unreadable"),
        ]
        let problems = counts.filter { $0.0 > 0 }.map { "\($0.0) \($0.1)" }
        return problems.isEmpty ? nil : problems.joined(separator: ", ")
    }

    private func writeSummary() {
        guard let replayer = state.withLock({ $0.replayer }) else { return }
        let summary = replayer.summary
        for name in replayer.unusedMaps where summary.requests > 0 {
            StandardStream.error.write(line: "--map: \(name) was never applied".escapingControls)
        }
        let seconds = start.duration(to: .now) / .seconds(1)
        let counts = [
            (summary.succeeded, "ok"), (summary.failed, "failed"), (summary.accepted, "accepted"),
            (summary.duplicates, "duplicate"), (summary.rejected, "rejected"), (summary.lost, "lost"),
            (summary.underWay, "without an outcome yet"),
        ]
        let parts = counts.filter { $0.0 > 0 }.map { "\($0.0) \($0.1)" }
        let replayed = Quantity.count(summary.requests, "message")
        var rows = ["replayed \(replayed) in \(Quantity.duration(seconds)): \(parts.joined(separator: ", "))"]
        if summary.requests == 0 { rows = ["replayed nothing"] }
        if summary.compared > 0 {
            let rest = summary.uncompared > 0 ? ", \(summary.uncompared) had no recorded answer" : ""
            rows.append("compared \(summary.compared) with the recorded answers: \(summary.differences) differ\(rest)")
        }
        if summary.brokenLines > 0 {
            rows.append("left out \(Quantity.count(summary.brokenLines, "line")) that could not be read")
        }
        StandardStream.output.write(line: rows.joined(separator: "\n"))
    }
}
