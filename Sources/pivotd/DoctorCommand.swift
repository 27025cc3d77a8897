import ArgumentParser
import Daemon
import JSON

/// `pivotd doctor`: checks what the worker needs.
struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Check the configuration, the broker, libvirt, QEMU and the permissions on this host.",
        discussion: "One line for each check; exit code 1 if any fails.")

    @Flag(help: "Print JSON.")
    var json = false

    @OptionGroup var options: ConfigurationOptions

    func run() async throws {
        let configuration = try options.load()
        let findings = await Doctor(configuration: configuration).examine()
        if json {
            StandardStream.output.write(line: Doctor.json(findings).serialized(indent: 2))
        } else {
            for finding in findings { StandardStream.output.write(line: finding.line.escapingControls) }
        }
        if findings.contains(where: { $0.status == .failure }) { throw ExitCode.failure }
    }
}
