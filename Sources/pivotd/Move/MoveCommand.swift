import ArgumentParser
import Basics
import BulkMove
import Foundation
import Settings
import Synchronization
import UnixSignals

/// `pivotd move`: many swaps on many hosts.
struct MoveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "move",
        abstract: "Move many volumes, on many hosts, as a plan says.",
        discussion: """
            PLAN is a file of JSON Lines, or - for standard input. Each line has the arguments of swap_volume, and host. All lines \
            are checked first. The same command again resumes: a line's task id derives from the line, so nothing is started twice.

            Exit codes: 0 all have moved; 1 some have not; 2 wrong usage, or errors in the plan: nothing was sent; 3 no broker; \
            130 Ctrl-C, which leaves running swaps to their workers.
            """)

    @Argument(help: "The plan.", completion: .file(extensions: ["jsonl"]))
    var plan: String

    @Option(help: ArgumentHelp("Swaps at a time.", valueName: "n"))
    var concurrency = 8

    @Option(help: ArgumentHelp("Swaps of a host at a time.", valueName: "n"))
    var perHost = 2

    @Option(help: ArgumentHelp("Local time of day in which swaps start; those that run go on.", valueName: "hh:mm-hh:mm"))
    var window: String?

    @Option(help: ArgumentHelp("How often a line is retried after failures that may pass.", valueName: "n"))
    var retries = 2

    @Option(help: ArgumentHelp("Seconds before the first retry; each further one waits twice as long.", valueName: "s"))
    var retryPause = 30.0

    @Flag(help: "Try lines again whose last attempt failed or was aborted, whatever the cause.")
    var retryFailed = false

    @Flag(help: "Move the others if some lines are not acceptable.")
    var skipUnacceptable = false

    @Option(help: ArgumentHelp("Seconds without any answer after which a host is given up.", valueName: "s"))
    var hostTimeout = 600.0

    @Option(help: ArgumentHelp("Write the outcome of each line there, as JSON Lines.", valueName: "file"), completion: .file())
    var report: String?

    @OptionGroup var options: ClientOptions

    func validate() throws {
        for (name, number) in [("--concurrency", concurrency), ("--per-host", perHost)] where !(1...10_000).contains(number) {
            throw ValidationError("\(name): must be from 1 to 10000")
        }
        guard (0...100).contains(retries) else { throw ValidationError("--retries: must be from 0 to 100") }
        let pauses = [("--retry-pause", retryPause), ("--host-timeout", hostTimeout)]
        for (name, seconds) in pauses where !(0...1e6).contains(seconds) {
            throw ValidationError("\(name): must be a number of seconds")
        }
        if let window, MoveWindow(window) == nil { throw ValidationError("--window: must be like 22:00-06:00") }
    }

    func run() async throws {
        let configuration = try options.load()
        let lines = try readPlan().lines
        if try self.report.map({ try MoveReportFile($0) })?.isFile(plan) == true {
            throw CommandFailure(.usage, "--report: is the plan itself")
        }
        let left = MoveLeftover()
        let interruption = await Interruption(.sigint, .sigterm) { _ in left.text }
        do {
            try await BusSession.with(configuration, until: interruption) { session in
                try await move(lines, MoveBus(session: session), left)
            }
        } catch let failure as CommandFailure where failure.status == .interrupted {
            throw CommandFailure(.interrupted, left.text)
        }
    }

    /// - Throws: ``CommandFailure`` with status `usage` that names every faulty line.
    private func readPlan() throws -> MovePlan {
        let text: [UInt8]
        do throws(ReadFailure) {
            text = try FileArgument.read(plan)
        } catch {
            throw CommandFailure(.usage, "\(plan): \(error)")
        }
        do {
            return try MovePlan(text)
        } catch {
            let problems = "\(error)".split(separator: "\n").map { "\n" + String($0).escapingControls }
            throw CommandFailure(.usage, "\(plan): has errors, nothing was sent" + problems.joined())
        }
    }

    private func move(_ lines: [MoveLine], _ bus: MoveBus, _ left: MoveLeftover) async throws {
        let report = try self.report.map { try MoveReportFile($0) }
        let survey = MoveSurvey(bus: bus, patience: .seconds(hostTimeout), retriesFailed: retryFailed)
        StandardStream.error.write(line: "checking \(Quantity.count(lines.count, "line"))")
        let findings = try await survey.findings(for: lines)
        let schedule = MoveSchedule(lines, findings, limits: limits, now: .now)
        if show(refusals: findings, lines), !skipUnacceptable {
            report?.write(schedule.entries, isLast: true)
            throw CommandFailure(.failure, "nothing was started; --skip-unacceptable moves the others")
        }
        var run = MoveRun(schedule, bus, hostTimeout: .seconds(hostTimeout), report: report, onChange: left.note)
        let entries = await run.carryOut()
        if let failure = report?.failure { throw failure }
        try Task.checkCancellation()
        guard entries.allSatisfy(\.isSuccess) else { throw CommandFailure(.failure, "") }
    }

    private var limits: MoveSchedule.Limits {
        var limits = MoveSchedule.Limits()
        limits.total = concurrency
        limits.perHost = perHost
        limits.retries = retries
        limits.retryPause = retryPause
        limits.window = window.flatMap { MoveWindow($0) }
        return limits
    }

    /// Prints a table of the lines that are not acceptable.
    ///
    /// - Returns: whether there are any.
    private func show(refusals findings: [MoveSchedule.Finding], _ lines: [MoveLine]) -> Bool {
        let rows = zip(lines, findings).compactMap { line, finding -> [String]? in
            switch finding {
            case .fresh, .known: nil
            case .refused(let refusal), .unreachable(let refusal):
                ["\(line.number)", line.host, "\(line.instance)/\(line.disk)", refusal.reasonCode ?? "-", refusal.message]
                    .map(\.escapingControls)
            }
        }
        guard !rows.isEmpty else { return false }
        let count = "\(rows.count) of \(Quantity.count(lines.count, "line"))"
        StandardStream.output.write(line: "\(count) \(rows.count == 1 ? "is" : "are") not acceptable:")
        StandardStream.output.write(line: StatusTable.aligned([["LINE", "HOST", "INSTANCE/DISK", "CAUSE", "MESSAGE"]] + rows))
        return true
    }
}

/// What an interrupted move leaves behind.
private final class MoveLeftover: Sendable {
    private let counts = Mutex<(running: Int, pending: Int)?>(nil)

    func note(_ entries: [MoveEntry]) {
        counts.withLock { $0 = (entries.count { $0.isRunning }, entries.count { $0.isPending }) }
    }

    /// For the operator.
    var text: String {
        guard let (running, pending) = counts.withLock(\.self) else {
            return "\nstopped during the checks: this command has started nothing"
        }
        let workers = running == 0 ? "" : " (their workers finish them)"
        return
            "\nstopped: \(Quantity.count(running, "swap")) left running\(workers), \(Quantity.count(pending, "line")) not started. "
            + "The same command resumes."
    }
}
