import Configuration

/// Reads the keys of a ``PivotdConfiguration`` and, by being asked for them, learns which there are.
///
/// So a key's name, type, limits, default and help stand in one place: the initialisers that call this.
struct ConfigurationReader {
    private let config: ConfigReader
    private(set) var keys: [ConfigurationKey] = []
    private(set) var problems: [String] = []
    /// What is in force, by key.
    private(set) var values: [String: Secret] = [:]

    init(_ config: ConfigReader) {
        self.config = config
    }

    /// - Parameter defaultText: What to show instead of a default that is not the same on every machine.
    mutating func text(
        _ name: String, _ section: ConfigurationKey.Section, default value: String, defaultText: String? = nil, _ help: String
    ) -> String {
        string(name, .text, section, value, defaultText: defaultText, help)
    }

    mutating func secret(_ name: String, _ section: ConfigurationKey.Section, default value: String, _ help: String) -> Secret {
        Secret(string(name, .secret, section, value, help))
    }

    mutating func path(_ name: String, _ section: ConfigurationKey.Section, default value: String, _ help: String) -> String {
        string(name, .path, section, value, help)
    }

    /// A path that may be left out: nil when it is not given or empty.
    mutating func optionalPath(_ name: String, _ section: ConfigurationKey.Section, _ help: String) -> String? {
        let value = string(name, .path, section, "", help)
        return value.isEmpty ? nil : value
    }

    mutating func listenAddress(
        _ name: String, _ section: ConfigurationKey.Section, default value: String, _ help: String
    ) -> String {
        string(name, .listenAddress, section, value, help)
    }

    mutating func choice<Choice: RawRepresentable & CaseIterable>(
        _ name: String, _ section: ConfigurationKey.Section, default value: Choice, _ help: String
    ) -> Choice where Choice.RawValue == String {
        let text = string(name, .choice(Choice.allCases.map(\.rawValue)), section, value.rawValue, help)
        return Choice(rawValue: text) ?? value
    }

    mutating func boolean(_ name: String, _ section: ConfigurationKey.Section, default value: Bool, _ help: String) -> Bool {
        let key = register(name, .boolean, section, "\(value)", help)
        let given = config.bool(forKey: ConfigKey([key.name]), default: value)
        values[key.name] = Secret("\(given)")
        return given
    }

    mutating func integer(
        _ name: String, _ section: ConfigurationKey.Section, default value: Int, _ range: ClosedRange<Int>, _ help: String
    ) -> Int {
        let key = register(name, .integer(range), section, "\(value)", help)
        let given = config.int(forKey: ConfigKey([key.name]), default: value)
        return checked(key, given, default: value) { .int($0) }
    }

    /// A time in seconds.
    mutating func seconds(
        _ name: String, _ section: ConfigurationKey.Section, default value: Int, _ range: ClosedRange<Double>, _ help: String
    ) -> Duration {
        let key = register(name, .number(range), section, "\(value)", help)
        let given = config.double(forKey: ConfigKey([key.name]), default: Double(value))
        return .seconds(checked(key, given, default: Double(value)) { .double($0) })
    }

    mutating func absolutePaths(
        _ name: String, _ section: ConfigurationKey.Section, default value: [String], _ help: String
    ) -> [String] {
        let key = register(name, .absolutePaths, section, value.joined(separator: ","), help)
        let given = config.stringArray(forKey: ConfigKey([key.name]), default: value)
        return checked(key, given, default: value) { .stringArray($0) }
    }

    private mutating func string(
        _ name: String, _ kind: ConfigurationKey.Kind, _ section: ConfigurationKey.Section, _ value: String,
        defaultText: String? = nil, _ help: String
    ) -> String {
        let key = register(name, kind, section, defaultText ?? value, help)
        let given = config.string(forKey: ConfigKey([key.name]), isSecret: key.isSecret, default: value)
        return checked(key, given, default: value) { .string($0) }
    }

    private mutating func register(
        _ name: String, _ kind: ConfigurationKey.Kind, _ section: ConfigurationKey.Section, _ defaultText: String, _ help: String
    ) -> ConfigurationKey {
        let key = ConfigurationKey(name: name, kind: kind, section: section, defaultText: defaultText, help: help)
        keys.append(key)
        return key
    }

    /// A value beyond the key's limits is a problem and counts as the default, so that all problems are found.
    private mutating func checked<Value>(
        _ key: ConfigurationKey, _ value: Value, default fallback: Value, content: (Value) -> ConfigContent
    ) -> Value {
        if key.allows(content(value)) {
            values[key.name] = Secret((value as? [String])?.joined(separator: ",") ?? "\(value)")
            return value
        }
        problems.append("\(key.name) must be: \(key.kind.allowed)")
        return fallback
    }
}
