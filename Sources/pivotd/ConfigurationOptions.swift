import ArgumentParser
import Foundation
import Settings

/// The flags of the commands that read every setting: one for each, and the configuration file.
///
/// A flag that is not given is nil: the environment, the file or the default counts then.
struct ConfigurationOptions: ParsableArguments {
    @OptionGroup var configuration: ConfigurationFileOption
    @OptionGroup(title: "Message bus") var bus: BusOptions
    @OptionGroup(title: "Hypervisor and volumes") var hypervisor: HypervisorOptions
    @OptionGroup(title: "Defaults of a swap") var swap: SwapDefaultOptions
    @OptionGroup(title: "Daemon") var daemon: DaemonOptions

    /// The flags given, by the names of their keys.
    var given: [String: String] {
        let groups = [["config": configuration.config], bus.values, hypervisor.values, swap.values, daemon.values]
        assert(groups.dropFirst().flatMap(\.keys).sorted() == PivotdConfiguration.keys.map(\.name).sorted(), "a key has no flag")
        return Self.given(groups)
    }

    static func given(_ groups: [[String: String?]]) -> [String: String] {
        groups.reduce(into: [:]) { given, group in
            given.merge(group.compactMapValues { $0 }) { first, _ in first }
        }
    }

    /// The configuration file that is read.
    var file: String {
        configuration.config ?? ProcessInfo.processInfo.environment["PIVOTD_CONFIG"].flatMap { $0.isEmpty ? nil : $0 }
            ?? PivotdConfiguration.defaultFile
    }

    /// All settings, checked, from flags, environment, file and defaults.
    ///
    /// - Throws: A usage error that shows every problem.
    func load() throws -> PivotdConfiguration { try Self.load(given) }

    static func load(_ flags: [String: String]) throws -> PivotdConfiguration {
        do {
            return try PivotdConfiguration.load(flags: flags)
        } catch {
            throw usageError(error)
        }
    }

    static func usageError(_ error: some Error) -> ValidationError {
        ValidationError("the configuration is not right:\n\(error)")
    }
}

/// `--config`
struct ConfigurationFileOption: ParsableArguments {
    @Option(
        name: .customLong("config"),
        help: ArgumentHelp(
            "The configuration file, YAML or JSON (default: \(PivotdConfiguration.defaultFile), which may be missing).",
            discussion: "Each flag of the groups above is also a key of this file (state_dir) and an environment variable "
                + "(PIVOTD_STATE_DIR). Flags win over the environment, the environment wins over the file.",
            valueName: "file"),
        completion: .file(extensions: ["yaml", "yml", "json"]))
    var config: String?
}

extension Option where Value == String? {
    /// The flag of a setting; its name, type, default and help come from the table of keys.
    init(key name: String) {
        let key = PivotdConfiguration.key(name)
        assert(key != nil, "\(name) is not a key")
        self.init(
            name: .customLong(key?.flag ?? name),
            parsing: .next,
            help: ArgumentHelp(key.map(Self.help) ?? "", valueName: key?.kind.placeholder),
            completion: key.map(Self.completion) ?? .default)
    }

    private static func help(_ key: ConfigurationKey) -> String {
        let value = key.defaultText.isEmpty ? "none" : key.defaultText
        return "\(key.help) (default: \(value))."
    }

    private static func completion(_ key: ConfigurationKey) -> CompletionKind {
        switch key.kind {
        case .path: .file()
        case .boolean: .list(["true", "false"])
        case .choice(let choices): .list(choices)
        default: .default
        }
    }
}
