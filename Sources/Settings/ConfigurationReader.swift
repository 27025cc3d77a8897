/// Reads the keys of a ``PivotdConfiguration`` and, by being asked for them, learns which there are.
///
/// A key's name, type, limits, default and help stand in one place: the initialisers that call this.
struct ConfigurationReader {
    /// Where the keys that follow belong in help texts.
    var section = ConfigurationKey.Section.bus
    private(set) var keys: [ConfigurationKey] = []
    /// What is in force, by key, as an operator would write it.
    private(set) var values: [String: Secret] = [:]
    private let given: [String: any Sendable]

    /// - Parameter given: what ``ConfigurationKey/parse(_:)`` made of the values given, by key.
    init(_ given: [String: any Sendable] = [:]) { self.given = given }

    /// - Parameter shown: the default's description, where the default is not the same on every machine.
    mutating func text(_ name: String, default value: String, shown: String? = nil, _ help: String) -> String {
        read(name, .text, default: value, shown: shown, help)
    }

    mutating func secret(_ name: String, default value: String, _ help: String) -> Secret {
        read(name, .secret, default: Secret(value), help)
    }

    mutating func path(_ name: String, default value: String, reloads: Bool = false, _ help: String) -> String {
        read(name, .path, default: value, reloads: reloads, help)
    }

    /// A path that may be left out: nil when it is not given or empty.
    mutating func optionalPath(_ name: String, _ help: String) -> String? {
        let value = read(name, .path, default: "", help)
        return value.isEmpty ? nil : value
    }

    mutating func listenAddress(_ name: String, default value: String, _ help: String) -> String {
        read(name, .listenAddress, default: value, help)
    }

    mutating func choice<Choice: RawRepresentable & CaseIterable>(
        _ name: String, default value: Choice, reloads: Bool = false, _ help: String
    ) -> Choice where Choice.RawValue == String {
        let choices = Choice.allCases.map(\.rawValue)
        return Choice(rawValue: read(name, .choice(choices), default: value.rawValue, reloads: reloads, help)) ?? value
    }

    mutating func boolean(_ name: String, default value: Bool, reloads: Bool = false, _ help: String) -> Bool {
        read(name, .boolean, default: value, reloads: reloads, help)
    }

    mutating func integer(
        _ name: String, default value: Int, _ range: ClosedRange<Int>, reloads: Bool = false, _ help: String
    ) -> Int {
        read(name, .integer(range), default: value, reloads: reloads, help)
    }

    /// A time in seconds.
    mutating func seconds(
        _ name: String, default value: Int, _ range: ClosedRange<Double>, reloads: Bool = false, _ help: String
    ) -> Duration {
        .seconds(read(name, .number(range), default: Double(value), shown: "\(value)", reloads: reloads, help))
    }

    mutating func absolutePaths(_ name: String, default value: [String], reloads: Bool = false, _ help: String) -> [String] {
        read(name, .absolutePaths, default: value, reloads: reloads, help)
    }

    private mutating func read<Value: Sendable>(
        _ name: String, _ kind: ConfigurationKey.Kind, default value: Value, shown: String? = nil, reloads: Bool = false,
        _ help: String
    ) -> Value {
        keys.append(
            ConfigurationKey(
                name: name, kind: kind, section: section, defaultText: shown ?? Self.text(value), reloads: reloads, help: help))
        let value = given[name] as? Value ?? value
        values[name] = Secret(Self.text(value))
        return value
    }

    private static func text(_ value: any Sendable) -> String {
        switch value {
        case let members as [String]: members.joined(separator: ",")
        case let secret as Secret: secret.reveal()
        default: "\(value)"
        }
    }
}
