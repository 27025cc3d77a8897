import ArgumentParser
import Basics
import Foundation

/// The command line: `pivotd run` is the worker, the other commands are its clients and tools.
@main
struct Pivotd: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pivotd",
        abstract: "Moves the volumes of running virtual machines, on request over RabbitMQ.",
        discussion: "Exit codes: 0 success, 1 failure, 2 wrong usage or configuration, 3 no answer, 130 Ctrl-C.",
        version: "pivotd \(pivotdVersion)",
        subcommands: [
            RunCommand.self, SwapCommand.self, MoveCommand.self, StatusCommand.self, ExplainCommand.self, AbortCommand.self,
            BandwidthCommand.self, PivotCommand.self, PauseCommand.self, ResumeCommand.self, DrainCommand.self,
            DoctorCommand.self, CaptureCommand.self, ReplayCommand.self, DecodeCommand.self,
        ])

    static func main() async {
        // If a reader has gone (a helper, or the reader of our output), the write fails and the process lives on.
        signal(SIGPIPE, SIG_IGN)
        do {
            var command = try parseAsRoot()
            do {
                if var asynchronous = command as? any AsyncParsableCommand {
                    try await asynchronous.run()
                } else {
                    try command.run()
                }
                if let failure = StandardStream.outputFailure { throw failure }
            } catch {
                end(error, message: type(of: command).message(for: error), prefix: "Error: ")
            }
        } catch {
            end(error, message: fullMessage(for: error))
        }
    }

    /// Prints the message and exits with one of pivotd's own exit codes.
    private static func end(_ error: any Error, message: String, prefix: String = "") -> Never {
        if let failure = error as? CommandFailure {
            if !failure.message.isEmpty { StandardStream.error.write(line: failure.message) }
            Foundation.exit(failure.status.rawValue)
        }
        let code = exitCode(for: error)
        if !message.isEmpty {
            if code.isSuccess {
                StandardStream.output.write(line: message)
            } else {
                StandardStream.error.write(line: prefix + message)
            }
        }
        if code.isSuccess, let failure = StandardStream.outputFailure { end(failure, message: "") }
        switch code {
        case .success: Foundation.exit(ExitStatus.success.rawValue)
        case .validationFailure: Foundation.exit(ExitStatus.usage.rawValue)
        default: Foundation.exit(ExitStatus.failure.rawValue)
        }
    }
}
