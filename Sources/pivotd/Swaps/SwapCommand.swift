import ArgumentParser
import JSON
import OsloMessaging
import Settings
import UnixSignals
import VolumeSwap

/// `pivotd swap`: asks the worker to move a volume, and waits for it.
struct SwapCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "swap",
        abstract: "Move a running virtual machine's disk to another, existing volume.",
        discussion: "Prints the result as JSON. The request expires when this command stops waiting for it, so that it is not "
            + "carried out hours later. With --check nothing is moved or changed: prints what check_swap has found, as JSON. "
            + "Exit codes: 0 success, or acceptable; 1 failure, or not acceptable; 2 wrong usage; 3 no answer.")

    @OptionGroup(title: "Swap") var arguments: SwapArguments

    @Flag(help: "Only check whether the worker would accept the swap as things are now; touches nothing.")
    var check = false

    @Flag(help: "Do not wait: print the task's id and exit.")
    var cast = false

    @Option(
        help: ArgumentHelp(
            "Seconds to wait for the outcome (default: as long as the worker sends heartbeats; with --check, 60); with --cast, "
                + "seconds after which the request expires in its queue.", valueName: "s"))
    var timeout: Double?

    @Flag(help: "Print the secrets in the result's connection_info, which are masked otherwise.")
    var showSecrets = false

    @Flag(inversion: .prefixedNo, help: "Show progress on standard error.")
    var progress = true

    @OptionGroup var options: ClientOptions

    /// A worker that is silent for this long is gone; it sends heartbeats twice as often.
    private static let callMonitorTimeout = Duration.seconds(30)
    /// Longer than the worker takes for a check, whatever hangs.
    private static let checkTimeout = Duration.seconds(60)

    func validate() throws {
        if let timeout, !(timeout > 0 && timeout <= 1e9) {
            throw ValidationError("--timeout: must be a number of seconds above 0")
        }
        if check, cast { throw ValidationError("--check needs the answer that --cast does not wait for") }
    }

    func run() async throws {
        let configuration = try options.load()
        let request = try arguments.request()
        let timeout = timeout.map { Duration.seconds($0) }
        if check { return try await check(request, configuration, timeout ?? Self.checkTimeout) }
        let flags = options.repeated
        let interruption = await Interruption(.sigint) { Self.farewell($0, flags) }
        let output = try await BusSession.with(configuration, timeout: timeout, until: interruption) { session in
            cast ? try await send(request, session, timeout) : try await call(request, session, timeout)
        }
        StandardStream.output.write(line: output)
    }

    private func check(_ request: JSONObject, _ configuration: PivotdConfiguration, _ timeout: Duration) async throws {
        let result = try await BusSession.with(configuration, timeout: timeout) { session in
            do {
                return try await session.call("check_swap", request, timeout: timeout)
            } catch {
                throw CommandFailure(error)
            }
        }
        StandardStream.output.write(line: result.serialized(indent: 2))
        if result["acceptable"]?.boolValue != true { throw CommandFailure(.failure, "") }
    }

    private func send(_ request: JSONObject, _ session: BusSession, _ timeout: Duration?) async throws -> String {
        do {
            try await session.cast("swap_volume", request, timeout: timeout)
        } catch {
            throw failure(error, session)
        }
        return session.sent?.task.text ?? ""
    }

    private func call(_ request: JSONObject, _ session: BusSession, _ timeout: Duration?) async throws -> String {
        let report = SwapProgressReport(disk: arguments.disk, isShown: progress)
        do {
            let result = try await report.following(session) {
                try await session.call(
                    "swap_volume", request, timeout: timeout, callMonitorTimeout: Self.callMonitorTimeout)
            }
            return (showSecrets ? result : result.redacted()).serialized(indent: 2)
        } catch {
            throw failure(error, session)
        }
    }

    private func failure(_ error: any Error, _ session: BusSession) -> CommandFailure {
        let hint = session.sent.map {
            "The outcome of the swap is unknown; check it with: pivotd status \($0.task)\(options.repeated)"
        }
        return CommandFailure(error, hint: hint)
    }

    /// What Ctrl-C leaves behind: the swap itself continues.
    ///
    /// - Parameter flags: Those by which other commands reach the same worker.
    static func farewell(_ sent: SentSwap?, _ flags: String) -> String {
        guard let sent else { return "\nnothing was sent" }
        let task = sent.task
        let fate =
            sent.isConfirmed
            ? "The swap continues as task \(task)."
            : "The broker has not confirmed the request; if it has it, the swap runs as task \(task)."
        return "\n\(fate)\n  watch it:  pivotd status \(task) --watch\(flags)\n  abort it:  pivotd abort \(task)\(flags)"
    }
}
