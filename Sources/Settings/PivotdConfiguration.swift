package import Configuration

/// All settings of pivotd, checked.
///
/// Every key can be given in the configuration file (YAML, so JSON too), as the environment variable `PIVOTD_KEY` and as the
/// flag `--key`; flags win over the environment, that over the file. ``load(flags:environment:)`` puts the layers together.
package struct PivotdConfiguration: Sendable {
    package var bus: Bus
    package var hypervisor: Hypervisor
    package var swap: SwapDefaults
    package var daemon: Daemon
    /// What is in force as an operator would write it, by key: for comparisons.
    var values: [String: Secret]

    /// Reads the settings; each key, its type, limits and default is in the initialisers that this calls and nowhere else.
    ///
    /// - Throws: ``ConfigurationError`` with every value that is beyond its limits.
    package init(config: ConfigReader) throws(ConfigurationError) {
        var reader = ConfigurationReader(config)
        self.init(reader: &reader)
        guard reader.problems.isEmpty else { throw ConfigurationError(problems: reader.problems) }
    }

    private init(reader: inout ConfigurationReader) {
        bus = Bus(reader: &reader)
        hypervisor = Hypervisor(reader: &reader)
        swap = SwapDefaults(reader: &reader)
        daemon = Daemon(reader: &reader)
        values = reader.values
    }

    /// Every key there is, in the order of the documentation. `config`, the file's own path, is not among them: it is only
    /// a flag (`--config`) and an environment variable (`PIVOTD_CONFIG`).
    package static let keys: [ConfigurationKey] = {
        var reader = ConfigurationReader(ConfigReader(provider: InMemoryProvider(values: [:])))
        _ = PivotdConfiguration(reader: &reader)
        return reader.keys
    }()

    /// The key of that name.
    package static func key(_ name: String) -> ConfigurationKey? {
        keysByName[name]
    }

    static let keysByName = Dictionary(keys.map { ($0.name, $0) }) { first, _ in first }
}
