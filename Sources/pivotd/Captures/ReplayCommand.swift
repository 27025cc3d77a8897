import ArgumentParser
import Capture
import Daemon
import Foundation
import Logging
import Observability
import OsloMessaging
import Settings
import UnixSignals

/// `pivotd replay`: sends captured requests again.
struct ReplayCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "replay",
        abstract: "Replay captured requests: in this process against --libvirt-uri, or with --publish against a broker.",
        discussion: """
            A line for each message and a summary. Where the capture holds the answers too, each outcome is compared with the \
            recorded one, ids and times aside (and sizes, on dry-run:), and differences are shown.

            In this process no broker is needed; the journal is a temporary one unless --state-dir is given.
            Exit code 1 when outcomes differ, a message was lost or a line could not be read.
            """)

    @OptionGroup var input: CaptureFileArguments

    @Option(help: ArgumentHelp("Speed: 1 as recorded, 10 ten times as fast, max without pauses.", valueName: "x|max"))
    var speed = "1"

    @Option(
        name: .customLong("map"),
        help: ArgumentHelp(
            "Replace a name wherever it occurs: an instance's or volume's id, a path, a host; may be given several times.",
            valueName: "old=new"))
    var maps: [String] = []

    @Flag(help: "Give messages new ids, so that a worker that already knows them carries them out again.")
    var freshIds = false

    @Flag(help: "Send to the broker of --transport-url. --exchange, --topic and --host override the recorded address.")
    var publish = false

    @Flag(help: "Allow --publish to a broker on another machine.")
    var iMeanIt = false

    @Option(
        help: ArgumentHelp(
            "With --publish: seconds without an answer after which the missing ones count as lost.", valueName: "s"))
    var timeout: Double = 60

    @Flag(help: "Do not print a line for each message.")
    var quiet = false

    @OptionGroup var options: ConfigurationOptions

    func validate() throws {
        _ = try usage { try ReplayClock.Speed(parsing: speed) }
        _ = try map()
        if !(timeout > 0 && timeout <= 1e9) { throw ValidationError("--timeout: must be a number of seconds above 0") }
    }

    func run() async throws {
        let configuration = try options.load()
        if publish { try checkBroker(configuration) }
        let readers = try input.open()
        let interrupts = await UnixSignalsSequence(trapping: .sigint, .sigterm)
        let report = ReplayReport(readers: readers, isQuiet: quiet, isFiltered: !input.filters.isEmpty)
        // The replay reports on each message itself.
        let logger = configuration.commandLogger()
        let speed = try ReplayClock.Speed(parsing: speed)
        if publish {
            let publishing = try ReplayPublishing(configuration.bus, destination(configuration), patience: timeout, logger)
            try await report.follow(interrupts) {
                try await publishing.with { target in
                    try await report.replay(readers, target, try replayOptions(speed, ignoresSizes: false))
                }
            }
        } else {
            let worker = try Self.worker(configuration, logger)
            let stateDirectory = options.given["state_dir"]
            try await report.follow(interrupts) {
                try await worker.serve(stateDirectory: stateDirectory) {
                    try await report.replay(readers, worker.target, try replayOptions(speed, ignoresSizes: worker.isDryRun))
                }
            }
        }
    }

    private func replayOptions(_ speed: ReplayClock.Speed, ignoresSizes: Bool) throws -> Replayer.Options {
        var options = Replayer.Options()
        options.speed = speed
        options.limit = input.limit
        options.filters = try input.parsedFilters()
        options.map = try map()
        options.freshIDs = freshIds ? FreshIDs() : nil
        options.isStrict = input.strict
        options.ignoresSizes = ignoresSizes
        return options
    }

    private func map() throws -> IDMap {
        try usage {
            var map = IDMap()
            for text in maps { try map.add(text) }
            return map
        }
    }

    /// The recorded address, overridden by flags.
    private func destination(_ configuration: PivotdConfiguration) -> PublishTarget.Destination {
        let given = options.given
        var destination = PublishTarget.Destination()
        if given["exchange"] != nil { destination.exchange = configuration.bus.exchange }
        if given["topic"] != nil || given["host"] != nil {
            destination.routingKey = "\(configuration.bus.topic).\(configuration.bus.host)"
        }
        return destination
    }

    /// A recording must not reach a production broker by mistake.
    private func checkBroker(_ configuration: PivotdConfiguration) throws {
        let url = try ConfigurationOptions.checking { try TransportURL(parsing: configuration.bus.transportURL.reveal()) }
        guard !iMeanIt, let host = url.hosts.map(\.name).first(where: { !Self.isLocal($0) }) else { return }
        throw ValidationError("--publish: the broker \(host) is not on this machine; give --i-mean-it to send to it")
    }

    private static func isLocal(_ host: String) -> Bool {
        let bytes = host.split(separator: ".", omittingEmptySubsequences: false).map { UInt8($0) }
        if bytes.count == 4, bytes.first == 127, bytes.allSatisfy({ $0 != nil }) { return true }
        return ["localhost", "::1"].contains(host.lowercased())
    }

    private static func worker(_ configuration: PivotdConfiguration, _ logger: Logger) throws -> ReplayWorker {
        do {
            return try ReplayWorker(configuration: configuration, logger: logger)
        } catch let error as ConfigurationError {
            throw ConfigurationOptions.usageError(error)
        }
    }
}
