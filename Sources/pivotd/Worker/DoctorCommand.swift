import Basics
import ArgumentParser
import Daemon
import JSON

/// `pivotd doctor`: checks what the worker needs, and asks a running worker for its readiness.
struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Check what a worker needs: the configuration, this host, libvirt, QEMU, the broker and its permissions.",
        discussion: "Prints one line per check; the exit code is 1 if a check fails that a worker would fail. Asks a running "
            + "worker for its readiness. Changes, creates and sends nothing.")

    @Flag(help: "Print JSON.")
    var json = false

    @OptionGroup var options: ConfigurationOptions

    func run() async throws {
        let findings = await findings()
        if json {
            StandardStream.output.write(line: Doctor.json(findings).serialized(indent: 2))
        } else {
            for finding in findings { StandardStream.output.write(line: finding.line.escapingControls) }
        }
        if findings.contains(where: { $0.status == .failure }) { throw ExitCode.failure }
    }

    /// A configuration that cannot be read is a finding too, and then the only one.
    private func findings() async -> [Finding] {
        do {
            return await Doctor(configuration: try options.load(), file: options.file).examine()
        } catch {
            return [.failure("configuration", "\(error)".replacing("\n", with: " "), remedy: "correct it")]
        }
    }
}
