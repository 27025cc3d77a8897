import ArgumentParser
import Daemon
import Logging
import Observability
import Settings

/// `pivotd run`: the worker.
struct RunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Serve swap requests until SIGTERM.",
        discussion: "On exit, running copies are left to the hypervisor; the next start takes them over.")

    @OptionGroup var options: ConfigurationOptions

    func run() async throws {
        let configuration = try options.load()
        LoggingSetup.bootstrap(format: configuration.daemon.logFormat, level: configuration.daemon.logLevel)
        let logger = Logger(label: "pivotd")
        defer { LogOutput.standardError.flush(within: .milliseconds(500)) }
        do {
            let flags = options.given
            let worker = Worker(configuration: configuration, logger: logger) { () throws(ConfigurationError) in
                try PivotdConfiguration.load(flags: flags)
            }
            try await worker.run()
        } catch let error as ConfigurationError {
            throw ConfigurationOptions.usageError(error)
        } catch {
            logger.critical("pivotd ends: \(error)")
            throw ExitCode.failure
        }
    }
}
