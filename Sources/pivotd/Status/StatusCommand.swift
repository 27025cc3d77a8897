import ArgumentParser
import Foundation
import JSON
import Settings
import UnixSignals

/// `pivotd status`: shows tasks.
struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Show the swaps that the worker knows, or one of them.",
        discussion: "Running swaps come first, then waiting ones, then those that have ended, newest first. With --watch for one "
            + "task, the exit code is 1 when the swap fails or is aborted.")

    @Argument(help: "A task id, or the beginning of one; without it, swaps are listed.")
    var task: TaskName?

    @Option(help: ArgumentHelp("Show only the swaps of this instance: its UUID, or libvirt's name for it.", valueName: "uuid"))
    var instance: String?

    @Option(help: ArgumentHelp("With --instance: show the newest swap of this disk.", valueName: "target"))
    var disk: String?

    @Option(
        help: ArgumentHelp("List only swaps in these states, separated by commas.", valueName: "state,…"),
        completion: .list(StatusQuery.allStates))
    var state: String?

    @Option(help: ArgumentHelp("List only swaps from or to this volume.", valueName: "id"))
    var volume: String?

    @Option(help: ArgumentHelp("List at most N swaps.", valueName: "n"))
    var limit = 100

    @Flag(help: "Show ids in full, even if lines get longer than the terminal is wide.")
    var fullIds = false

    @Flag(help: "Refresh every second; a single task until it has ended. Waits for a worker that restarts.")
    var watch = false

    @Flag(help: "Print JSON, newest first; with --watch, one line each time.")
    var json = false

    @OptionGroup var reply: ReplyOptions
    @OptionGroup var options: ClientOptions

    func validate() throws {
        if task != nil, instance != nil || disk != nil { throw ValidationError("give a task, or --instance and --disk") }
        if disk != nil, instance == nil { throw ValidationError("--disk needs --instance") }
        if isOne, state != nil || volume != nil { throw ValidationError("--state and --volume are for lists") }
        if limit < 1 { throw ValidationError("--limit: must be at least 1") }
        for state in states ?? [] where !StatusQuery.allStates.contains(state) {
            throw ValidationError("--state: must be among \(StatusQuery.allStates.joined(separator: ", "))")
        }
    }

    func run() async throws {
        let configuration = try options.load()
        let interruption: Interruption? = if watch { await Interruption(.sigint, .sigterm) } else { nil }
        try await BusSession.with(configuration, timeout: reply.duration, until: interruption) { session in
            let query = StatusQuery(
                task: try await task?.resolved(session, reply), instance: instance, disk: disk, states: states, volume: volume,
                limit: limit, isInOrderOfArrival: json)
            var screen = StatusScreen(isOne: isOne, isJSON: json, hasFullIDs: fullIds, isRedrawn: watch)
            while true {
                do {
                    let answer = try await query.ask(session, reply)
                    screen.show(answer)
                    if watch, isOne, SwapState(answer).isFinal {
                        guard SwapState(answer).isSuccess else { throw ExitCode.failure }
                        return
                    }
                } catch let failure as CommandFailure where watch && failure.status == .noAnswer && screen.hasAnswer {
                    screen.showSilence(failure.message)
                }
                guard watch, StandardStream.outputFailure == nil else { return }
                try await Task.sleep(for: .seconds(1))
            }
        }
    }

    private var isOne: Bool { task != nil || disk != nil }

    private var states: [String]? {
        state?.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }
    }
}
