import ArgumentParser
import Capture
import Daemon
import Foundation
import OsloMessaging
import Synchronization
import UnixSignals

/// `pivotd capture`: records messages beside their consumers.
struct CaptureCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "capture",
        abstract: "Record messages of the bus to a file, without taking them from anybody.",
        discussion: """
            A queue of the recording's own is bound beside the real one: --queue taps the key by which oslo.messaging binds a queue \
            of that name, --exchange with --routing-key any other. What is sent to the default exchange, as answers are, cannot be \
            bound to: --replies records the answers too, when the broker's tracing is on (rabbitmqctl trace_on -p VHOST). \
            Everything that the tracing sees is recorded by --exchange amq.rabbitmq.trace --routing-key 'publish.#'.

            Ends with Ctrl-C, --limit or --idle-timeout. Each message is in the file before the next one is taken.
            """)

    @Option(help: ArgumentHelp("Tap this queue: pivotd.HOST, or pivotd.", valueName: "name"))
    var queue: String?

    @Option(help: ArgumentHelp("Tap --exchange with this routing key; a topic exchange knows * and #.", valueName: "key"))
    var routingKey: String?

    @Flag(help: "Record the answers to the requests as well; needs the broker's tracing.")
    var replies = false

    @Option(
        help: ArgumentHelp("The file; compressed when its name ends in .gz (default: -, standard output).", valueName: "file"),
        completion: .file(extensions: ["jsonl", "gz"]))
    var out = "-"

    @Option(help: ArgumentHelp("Stop after so many messages.", valueName: "n"))
    var limit: Int?

    @Option(help: ArgumentHelp("Stop when for so many seconds nothing has come.", valueName: "s"))
    var idleTimeout: Double?

    @Flag(name: .customLong("no-redact"), help: "Keep passwords and tokens in the file.")
    var keepsSecrets = false

    @OptionGroup var options: ConfigurationOptions

    func validate() throws {
        if (queue == nil) == (routingKey == nil) { throw ValidationError("give --queue, or --exchange and --routing-key") }
        if let limit, limit < 1 { throw ValidationError("--limit: must be at least 1") }
        if let idleTimeout, !(idleTimeout > 0 && idleTimeout <= 1e9) {
            throw ValidationError("--idle-timeout: must be a number of seconds above 0")
        }
    }

    func run() async throws {
        let configuration = try options.load()
        let interrupts = await UnixSignalsSequence(trapping: .sigint, .sigterm)
        let tap = try CaptureTap(configuration.bus, queue: queue, routingKey: routingKey, withReplies: replies)
        let name = CaptureWriter.name(path: out)
        let counter = CaptureCounter()
        var recorder = Recorder()
        recorder.limit = limit
        recorder.idleTimeout = idleTimeout.map { .seconds($0) }
        recorder.redacts = !keepsSecrets
        recorder.keepsOnlyRepliesToRecorded = replies
        recorder.onMessage = { counter.show($0) }
        recorder.onGap = {
            StandardStream.error.write(line: "the connection was lost: what was sent meanwhile is not captured")
        }
        do {
            try await tap.record(recorder, to: out, until: interrupts) {
                StandardStream.error.write(line: "capturing \($0) to \(name)")
            }
        } catch {
            if counter.hasSome { counter.finish(name) }
            throw error is CaptureError ? CommandFailure(.failure, "\(error)") : error
        }
        counter.finish(name)
    }
}

/// Counts on standard error what was captured; live on a terminal.
private final class CaptureCounter: Sendable {
    private let state = Mutex((count: Recorder.Count(), shown: ContinuousClock.now - .seconds(1)))
    private let isLive = StandardStream.error.isTerminal

    func show(_ count: Recorder.Count) {
        let isDue = state.withLock { state in
            state.count = count
            guard isLive, state.shown.duration(to: .now) >= .milliseconds(100) else { return false }
            state.shown = .now
            return true
        }
        if isDue { StandardStream.error.write("\r\(Self.text(count))\u{1B}[K") }
    }

    var hasSome: Bool { state.withLock { $0.count.messages > 0 } }

    func finish(_ name: String) {
        let count = state.withLock { $0.count }
        StandardStream.error.write(line: "\(isLive ? "\r\u{1B}[K" : "")\(Self.text(count)) to \(name)")
    }

    private static func text(_ count: Recorder.Count) -> String {
        "captured \(count.messages) message\(count.messages == 1 ? "" : "s"), \(Quantity.bytes(count.bytes))"
    }
}
