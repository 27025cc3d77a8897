import ArgumentParser
import Daemon
import JSON

/// `pivotd doctor`: checks what the worker needs, and asks one that runs for its readiness.
struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Check what a worker needs: the configuration, this host, libvirt, QEMU, the broker and its permissions.",
        discussion: "One line for each check; exit code 1 if any fails, as a worker would. A worker that runs is asked for its "
            + "readiness. Nothing is changed, made or sent.")

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

    /// A configuration that cannot be read is a finding too, and the last one.
    private func findings() async -> [Finding] {
        do {
            return await Doctor(configuration: try options.load(), file: options.file).examine()
        } catch {
            return [.failure("configuration", "\(error)".replacing("\n", with: " "), remedy: "correct it")]
        }
    }
}
