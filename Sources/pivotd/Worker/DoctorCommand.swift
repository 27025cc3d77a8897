import ArgumentParser
import Basics
import Daemon
import JSON

/// `pivotd doctor`: checks what the worker needs, and asks a running worker for its readiness.
struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Check what a worker needs: the configuration, this host, libvirt, QEMU, the broker and its permissions.",
        discussion: "Prints one line per check; the exit code is 1 if a check fails that a worker would fail. Asks a running "
            + "worker for its readiness. A table then lists what libvirt and QEMU can do here. Changes, creates and sends "
            + "nothing.")

    @Flag(help: "Print JSON.")
    var json = false

    @OptionGroup var options: ConfigurationOptions

    func run() async throws {
        let report = await report()
        if json {
            StandardStream.output.write(line: report.json.serialized(indent: 2))
        } else {
            for line in report.lines { StandardStream.output.write(line: line.escapingControls) }
        }
        if !report.isHealthy { throw ExitCode.failure }
    }

    /// A configuration that cannot be read is a finding too, and then the only one.
    private func report() async -> DoctorReport {
        do {
            return await Doctor(configuration: try options.load(), file: options.file).examine()
        } catch {
            return DoctorReport([.failure("configuration", "\(error)".replacing("\n", with: " "), remedy: "correct it")])
        }
    }
}
