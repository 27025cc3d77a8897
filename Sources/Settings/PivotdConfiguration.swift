/// All settings of pivotd, checked. What a property means is said where its key is read, in the key's help.
///
/// Every key can be given in the configuration file (YAML, so JSON too), as the environment variable `PIVOTD_KEY` and as the
/// flag `--key`; flags win over the environment, that over the file. ``load(flags:environment:)`` puts the layers together.
package struct PivotdConfiguration: Sendable {
    package var bus: Bus
    package var hypervisor: Hypervisor
    package var swap: SwapDefaults
    package var daemon: Daemon
    /// What is in force as an operator would write it, by key: for comparisons.
    let values: [String: Secret]
    /// What was given, by key, of the type that ``ConfigurationKey/parse(_:)`` gives.
    let given: [String: any Sendable]

    /// Reads the settings; each key, its type, limits and default is in the initialisers that this calls and nowhere else.
    init(given: [String: any Sendable]) {
        var reader = ConfigurationReader(given)
        self.init(reader: &reader, given: given)
    }

    private init(reader: inout ConfigurationReader, given: [String: any Sendable] = [:]) {
        bus = Bus(reader: &reader)
        hypervisor = Hypervisor(reader: &reader)
        swap = SwapDefaults(reader: &reader)
        daemon = Daemon(reader: &reader)
        values = reader.values
        self.given = given
    }

    /// Every key there is, in the order of the documentation. `config`, the file's own path, is not among them: it is only
    /// a flag (`--config`) and an environment variable (`PIVOTD_CONFIG`).
    package static let keys: [ConfigurationKey] = {
        var reader = ConfigurationReader()
        _ = PivotdConfiguration(reader: &reader)
        return reader.keys
    }()

    /// The key of that name.
    package static func key(_ name: String) -> ConfigurationKey? { keysByName[name] }

    private static let keysByName = Dictionary(keys.map { ($0.name, $0) }) { first, _ in first }
}
