import ArgumentParser
import JSON

/// `pivotd status`: shows tasks.
struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Show the swaps that the worker knows, or one of them.",
        discussion: "With --watch for one task, the exit code is 1 when the swap fails or is aborted.")

    @Argument(help: "A task id; without one, the newest swaps are listed.")
    var task: String?

    @Option(help: ArgumentHelp("Show only this instance's swaps.", valueName: "uuid"))
    var instance: String?

    @Option(help: ArgumentHelp("With --instance: show the newest swap of this disk.", valueName: "target"))
    var disk: String?

    @Option(help: ArgumentHelp("List at most N swaps.", valueName: "n"))
    var limit = 100

    @Flag(help: "Refresh every second; a single task until it has ended.")
    var watch = false

    @Flag(help: "Print JSON; with --watch, one line each time.")
    var json = false

    @OptionGroup var reply: ReplyOptions
    @OptionGroup var options: ClientOptions

    func validate() throws {
        if task != nil, instance != nil || disk != nil { throw ValidationError("give a task, or --instance and --disk") }
        if disk != nil, instance == nil { throw ValidationError("--disk needs --instance") }
        if limit < 1 { throw ValidationError("--limit: must be at least 1") }
    }

    func run() async throws {
        let configuration = try options.load()
        try await BusSession.with(configuration, timeout: reply.duration) { session in
            while true {
                let answer = try await ask(session)
                show(answer)
                guard watch, StandardStream.outputFailure == nil else { return }
                if isOne, SwapState(answer).isFinal {
                    guard SwapState(answer).isSuccess else { throw ExitCode.failure }
                    return
                }
                try await Task.sleep(for: .seconds(1))
            }
        }
    }

    private var isOne: Bool { task != nil || disk != nil }

    private func ask(_ session: BusSession) async throws -> JSONValue {
        var args: JSONObject = [:]
        if let task { args["task_id"] = .string(task) }
        if let instance { args["instance"] = .string(instance) }
        if let disk { args["mountpoint"] = .string(disk) }
        if !isOne { args["limit"] = .integer(Int64(limit)) }
        return try await reply.call(isOne ? "get_swap" : "list_swaps", args, session)
    }

    private func show(_ answer: JSONValue) {
        let output = StandardStream.output
        if json { return output.write(line: answer.serialized(indent: watch ? 0 : 2)) }
        // Cursor home, then erase below: avoids flicker.
        let isRedrawn = watch && output.isTerminal
        let text = isOne ? StatusTable.details(answer) : StatusTable.list(answer["swaps"]?.arrayValue ?? [])
        output.write(isRedrawn ? "\u{1B}[H\u{1B}[J\(text)\n" : "\(text)\n")
    }
}
