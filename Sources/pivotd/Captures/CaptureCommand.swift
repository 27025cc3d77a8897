import ArgumentParser
import Basics
import Capture
import Foundation
import OsloMessaging
import Settings
import Synchronization
import UnixSignals

/// `pivotd capture`: records messages beside their consumers.
struct CaptureCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "capture",
        abstract: "Record messages from the bus to a file, without taking them from their consumers.",
        discussion: """
            A queue of the recording's own is bound beside the real one: --queue taps the key by which oslo.messaging binds a queue \
            of that name, --exchange with --routing-key any other. What is sent to the default exchange, as answers are, cannot be \
            bound to: --replies records the answers too, when the broker's tracing is on (rabbitmqctl trace_on -p VHOST). \
            Everything that the tracing sees is recorded by --exchange amq.rabbitmq.trace --routing-key 'publish.#'.

            Ends with Ctrl-C, --limit or --idle-timeout. Each message is in the file before the next one is taken.
            """)

    @Option(help: ArgumentHelp("Tap this queue: pivotd.HOST, or pivotd.", valueName: "name"))
    var queue: String?

    @Option(help: ArgumentHelp("Tap --exchange with this routing key; topic exchanges allow * and #.", valueName: "key"))
    var routingKey: String?

    @Flag(help: "Also record the answers to the requests; needs the broker's tracing.")
    var replies = false

    @Option(
        help: ArgumentHelp("The file, compressed if its name ends in .gz; - is standard output.", valueName: "file"),
        completion: .file(extensions: ["jsonl", "gz"]))
    var out = "-"

    @Option(
        help: ArgumentHelp("Stop after N messages; with --replies, wait for their answers, which do not count.", valueName: "n")
    )
    var limit: Int?

    @Option(help: ArgumentHelp("Stop when nothing has arrived for S seconds.", valueName: "s"))
    var idleTimeout: Double?

    @Flag(name: .customLong("no-redact"), help: "Keep passwords and tokens in the file.")
    var keepsSecrets = false

    @OptionGroup var options: ClientOptions

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
        recorder.withReplies = replies
        recorder.onMessage = { counter.show($0) }
        recorder.onWaiting = { counter.say("waiting for the answers to \($0) of the calls; press Ctrl-C to stop without them") }
        let gaps = CaptureGaps { counter.say($0) }
        do {
            try await tap.record(recorder, to: out, until: interrupts, gaps: gaps) { counter.say("capturing \($0) to \(name)") }
        } catch {
            counter.clear()
            guard let error = error as? CaptureError else { throw error }
            throw CommandFailure(error.code == .readerGone ? .readerGone : .failure, "\(error)")
        }
        let count = counter.finish(name)
        if replies, count.calls > 0, count.answers == 0 {
            counter.say(
                "captured no answer to any of the \(count.calls) calls: is tracing on (rabbitmqctl trace_on -p VHOST)?"
            )
        }
        if !count.isComplete, let reason = gaps.reason {
            throw CommandFailure(.noAnswer, "the broker was away at the end: \(reason)")
        }
    }
}

/// Counts captured messages on standard error; live on a terminal.
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

    /// Prints a message on a line of its own.
    func say(_ text: String) {
        clear()
        StandardStream.error.write(line: text.escapingControls)
    }

    func clear() { if isLive { StandardStream.error.write("\r\u{1B}[K") } }

    func finish(_ name: String) -> Recorder.Count {
        let count = state.withLock { $0.count }
        say("\(Self.text(count)) to \(name)")
        return count
    }

    private static func text(_ count: Recorder.Count) -> String {
        "captured \(Quantity.count(count.messages, "message")), \(Quantity.bytes(count.bytes))"
    }
}
