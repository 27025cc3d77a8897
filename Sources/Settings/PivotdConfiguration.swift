/// All of pivotd's settings, validated. A key's help text, where the key is read, explains the property.
///
/// Every key can be set in the configuration file (YAML, and therefore JSON), as the environment variable `PIVOTD_KEY` and as the
/// flag `--key`; flags override the environment, which overrides the file. ``load(flags:environment:)`` merges the layers.
package struct PivotdConfiguration: Sendable {
    package var bus: Bus
    package var hypervisor: Hypervisor
    package var swap: SwapDefaults
    package var budget: Budget
    package var daemon: Daemon
    /// The effective values as an operator would write them, by key, for comparison.
    let values: [String: Secret]
    /// The values given, by key, as returned by ``ConfigurationKey/parse(_:)``.
    let given: [String: any Sendable]

    /// Reads the settings. Each key's type, limits and default are declared only in the initialisers that this calls.
    init(given: [String: any Sendable]) {
        var reader = ConfigurationReader(given)
        self.init(reader: &reader, given: given)
    }

    private init(reader: inout ConfigurationReader, given: [String: any Sendable] = [:]) {
        bus = Bus(reader: &reader)
        hypervisor = Hypervisor(reader: &reader)
        swap = SwapDefaults(reader: &reader)
        budget = Budget(reader: &reader)
        daemon = Daemon(reader: &reader)
        values = reader.values
        self.given = given
    }

    /// All keys, in the order of the documentation. `config`, the file's own path, is not one of them: it exists only as a flag
    /// (`--config`) and an environment variable (`PIVOTD_CONFIG`).
    package static let keys: [ConfigurationKey] = {
        var reader = ConfigurationReader()
        _ = PivotdConfiguration(reader: &reader)
        return reader.keys
    }()

    /// The key with this name; nil if there is none.
    package static func key(_ name: String) -> ConfigurationKey? { keysByName[name] }

    private static let keysByName = Dictionary(keys.map { ($0.name, $0) }) { first, _ in first }
}
