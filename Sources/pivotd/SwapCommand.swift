import ArgumentParser
import JSON
import OsloMessaging
import UnixSignals
import VolumeSwap

/// `pivotd swap`: asks the worker to move a volume, and waits for it.
struct SwapCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "swap",
        abstract: "Move a volume of a running virtual machine to another one that exists already.",
        discussion: "Prints the result as JSON. The request expires when this command waits for it no longer, so that it is not "
            + "carried out hours later. Exit codes: 0 success, 1 failure, 2 wrong usage, 3 no answer.")

    @OptionGroup(title: "Swap") var arguments: SwapArguments

    @Flag(help: "Do not wait: print the id of the task and leave.")
    var cast = false

    @Option(
        help: ArgumentHelp(
            "Seconds to wait for the end (default: as long as the worker gives signs of life); with --cast, after which the "
                + "request expires in its queue.", valueName: "s"))
    var timeout: Double?

    @Flag(help: "Print the secrets in the result's connection_info, which are masked otherwise.")
    var showSecrets = false

    @Flag(inversion: .prefixedNo, help: "Show the progress on standard error.")
    var progress = true

    @OptionGroup var options: ClientOptions

    /// A worker that is silent for so long is gone; while it copies it sends a heartbeat twice as often.
    private static let callMonitorTimeout = Duration.seconds(30)

    func validate() throws {
        if let timeout, !(timeout > 0 && timeout <= 1e9) {
            throw ValidationError("--timeout: must be a number of seconds above 0")
        }
    }

    func run() async throws {
        let configuration = try options.load()
        let request = try arguments.request()
        let timeout = timeout.map { Duration.seconds($0) }
        let interrupts = await UnixSignalsSequence(trapping: .sigint)
        let output = try await BusSession.with(configuration, timeout: timeout) { session in
            try await Self.interruptible(interrupts, session) {
                cast ? try await send(request, session, timeout) : try await call(request, session, timeout)
            }
        }
        StandardStream.output.write(line: output)
    }

    private func send(_ request: JSONObject, _ session: BusSession, _ timeout: Duration?) async throws -> String {
        do {
            try await session.cast("swap_volume", request, timeout: timeout)
        } catch {
            throw CommandFailure(error)
        }
        return session.taskID?.text ?? ""
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
            throw CommandFailure(error, hint: session.taskID.map { "It is not known how the swap ends: pivotd status \($0)" })
        }
    }

    /// Runs the work until it ends or Ctrl-C is pressed: the swap itself goes on then.
    private static func interruptible(
        _ interrupts: UnixSignalsSequence, _ session: BusSession, _ work: @escaping @Sendable () async throws -> String
    ) async throws -> String {
        try await withThrowingTaskGroup(of: String.self) { group in
            defer { group.cancelAll() }
            group.addTask { try await work() }
            group.addTask {
                for await _ in interrupts {
                    guard let task = session.taskID else { throw CommandFailure(.interrupted, "\nnothing was sent") }
                    throw CommandFailure(
                        .interrupted,
                        "\nThe swap goes on as task \(task).\n  watch it:  pivotd status \(task) --watch\n"
                            + "  end it:    pivotd abort \(task)")
                }
                throw CancellationError()
            }
            guard let output = try await group.next() else { throw CancellationError() }
            return output
        }
    }
}
