import ArgumentParser
import Foundation
import JSON

/// `pivotd pause`: keeps new swaps from starting.
struct PauseCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pause", abstract: "Let new swaps wait, until resume or a restart of the worker.",
        discussion: "Running swaps go on, and new ones are accepted.")

    @OptionGroup var reply: ReplyOptions
    @OptionGroup var options: ClientOptions

    func run() async throws {
        let load = try await QueueLoad.after("pause_queue", options, reply)
        StandardStream.output.write(line: "paused: \(load.text)")
    }
}

/// `pivotd resume`: lets new swaps start again.
struct ResumeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resume", abstract: "Let new swaps start again, after pause or drain.")

    @OptionGroup var reply: ReplyOptions
    @OptionGroup var options: ClientOptions

    func run() async throws {
        let load = try await QueueLoad.after("resume_queue", options, reply)
        StandardStream.output.write(line: "resumed: \(load.text)")
    }
}

/// `pivotd drain`: pauses for maintenance, and with `--wait` returns once nothing runs any more.
struct DrainCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drain",
        abstract: "Pause, for maintenance of the host.",
        discussion: "With --wait it returns once no swap runs any more; held swaps stay held. pivotd resume ends it, and so does "
            + "a restart of the worker. Ctrl-C leaves the worker paused.")

    @Flag(help: "Wait until no swap runs any more, and show how many still do.")
    var wait = false

    @OptionGroup var reply: ReplyOptions
    @OptionGroup var options: ClientOptions

    func run() async throws {
        let configuration = try options.load()
        try await BusSession.with(configuration, timeout: reply.duration) { session in
            var load = QueueLoad(try await reply.call("drain", [:], session))
            var display = DrainDisplay()
            while wait, load.running > 0 {
                display.show(load.text)
                try await Task.sleep(for: .seconds(1))
                do {
                    load = QueueLoad(try await reply.call("drain", [:], session))
                } catch let failure as CommandFailure where failure.status == .noAnswer {
                    display.clear()
                    // Pausing it again at once could keep it from taking up the swaps that ran.
                    let advice = "a worker that restarts is not paused any more: once it has taken up its swaps, drain again"
                    throw CommandFailure(.noAnswer, "\(failure.message)\n\(advice)")
                }
            }
            display.clear()
            StandardStream.output.write(line: "\(load.running == 0 ? "drained" : "draining"): \(load.text)")
        }
    }
}

/// How many swaps run and wait, as the queue's methods answer.
struct QueueLoad: Sendable {
    let running: Int64
    let queued: Int64

    init(_ answer: JSONValue) {
        running = answer["running"]?.integerValue ?? 0
        queued = answer["queued"]?.integerValue ?? 0
    }

    static func after(_ method: String, _ options: ClientOptions, _ reply: ReplyOptions) async throws -> QueueLoad {
        let configuration = try options.load()
        return QueueLoad(
            try await BusSession.with(configuration, timeout: reply.duration) { session in
                try await reply.call(method, [:], session)
            })
    }

    var text: String { "\(running) running, \(queued) waiting" }
}

/// One line on a terminal's standard error; elsewhere a line for each change.
private struct DrainDisplay {
    private let isTerminal = StandardStream.error.isTerminal
    private var last = ""

    mutating func show(_ text: String) {
        defer { last = text }
        if isTerminal {
            StandardStream.error.write("\r\(text)\u{1B}[K")
        } else if text != last {
            StandardStream.error.write(line: text)
        }
    }

    mutating func clear() {
        if isTerminal, !last.isEmpty { StandardStream.error.write("\r\u{1B}[K") }
    }
}
