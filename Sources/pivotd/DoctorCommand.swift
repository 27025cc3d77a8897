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
