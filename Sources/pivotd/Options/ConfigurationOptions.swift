import ArgumentParser
import Foundation
import Settings

/// The flags of commands that use all settings: one flag per setting, and the configuration file.
///
/// A flag that is not given is nil, and the environment, the file or the default applies.
struct ConfigurationOptions: ParsableArguments {
    @OptionGroup var configuration: ConfigurationFileOption
    @OptionGroup(title: BusSection.section.rawValue) var bus: KeyOptions<BusSection>
    @OptionGroup(title: HypervisorSection.section.rawValue) var hypervisor: KeyOptions<HypervisorSection>
    @OptionGroup(title: SwapSection.section.rawValue) var swap: KeyOptions<SwapSection>
    @OptionGroup(title: DaemonSection.section.rawValue) var daemon: KeyOptions<DaemonSection>

    /// The flags given, by the names of their keys.
    var given: [String: String] {
        [configuration.given, bus.given, hypervisor.given, swap.given, daemon.given]
            .reduce(into: [:]) { $0.merge($1) { first, _ in first } }
    }

    /// The path of the configuration file.
    var file: String {
        configuration.config ?? ProcessInfo.processInfo.environment["PIVOTD_CONFIG"].flatMap { $0.isEmpty ? nil : $0 }
            ?? PivotdConfiguration.defaultFile
    }

    /// All settings, validated, from flags, environment, file and defaults.
    ///
    /// - Throws: A usage error that lists every problem.
    func load() throws -> PivotdConfiguration { try Self.load(given) }

    static func load(_ flags: [String: String]) throws -> PivotdConfiguration {
        try checking { try PivotdConfiguration.load(flags: flags) }
    }

    /// Does something with the settings; its failure is a usage error.
    static func checking<Value>(_ work: () throws -> Value) throws -> Value {
        do {
            return try work()
        } catch {
            throw usageError(error)
        }
    }

    static func usageError(_ error: some Error) -> ValidationError {
        ValidationError("the configuration is invalid:\n\(error)")
    }
}

/// The flags of commands that only talk to the bus. The rest of the configuration file is for the worker.
struct ClientOptions: ParsableArguments {
    @OptionGroup var file: ConfigurationFileOption
    @OptionGroup(title: BusSection.section.rawValue) var bus: KeyOptions<BusSection>

    private var given: [String: String] { file.given.merging(bus.given) { first, _ in first } }

    /// - Throws: A usage error that lists every problem.
    func load() throws -> PivotdConfiguration { try ConfigurationOptions.load(given) }

    /// The flags given, each with a blank before it, for a command line that asks the same worker; without the broker's URL.
    var repeated: String {
        let keys = PivotdConfiguration.keys.filter { !$0.isSecret }
        return ([("config", "config")] + keys.map { ($0.name, $0.flag) }).compactMap { name, flag in
            given[name].map { " --\(flag) \(Self.quoted($0))" }
        }.joined()
    }

    /// As a word for a shell.
    private static func quoted(_ text: String) -> String {
        let isPlain = !text.isEmpty && text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "_-./:,@%+=".contains($0)) }
        return isPlain ? text : "'\(text.replacing("'", with: "'\\''"))'"
    }
}

/// `--config`
struct ConfigurationFileOption: ParsableArguments {
    @Option(
        name: .customLong("config"),
        help: ArgumentHelp(
            "The configuration file, YAML or JSON (default: \(PivotdConfiguration.defaultFile), which may be missing).",
            discussion: "Each flag of the groups above is also a key of this file (ssl_ca_file) and an environment variable "
                + "(PIVOTD_SSL_CA_FILE). Flags override the environment, which overrides the file.",
            valueName: "file"),
        completion: .file(extensions: ["yaml", "yml", "json"]))
    var config: String?

    var given: [String: String] { config.map { ["config": $0] } ?? [:] }
}
