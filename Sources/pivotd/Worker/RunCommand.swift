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

    @Flag(help: "Only check the configuration, and exit; 2 if it is invalid.")
    var checkConfig = false

    @OptionGroup var options: ConfigurationOptions

    func run() async throws {
        let configuration = try options.load()
        if checkConfig {
            try ConfigurationOptions.checking { try configuration.checkForWorker() }
            StandardStream.output.write(line: "the configuration is valid")
            return
        }
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
