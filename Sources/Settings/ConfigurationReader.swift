import Budgets

/// Reads the keys of a ``PivotdConfiguration``, and collects their declarations as they are read.
///
/// A key's name, type, limits, default and help are in one place: the initialisers that call this.
struct ConfigurationReader {
    /// The group of the keys that follow in help output.
    var section = ConfigurationKey.Section.bus
    private(set) var keys: [ConfigurationKey] = []
    /// The effective values, by key, as an operator would write them.
    private(set) var values: [String: Secret] = [:]
    private let given: [String: any Sendable]

    /// - Parameter given: The values given, by key, as returned by ``ConfigurationKey/parse(_:)``.
    init(_ given: [String: any Sendable] = [:]) { self.given = given }

    /// - Parameter shown: A description of the default, if it differs between machines.
    mutating func text(_ name: String, default value: String, shown: String? = nil, _ help: String) -> String {
        read(name, .text, default: value, shown: shown, help)
    }

    mutating func secret(_ name: String, default value: String, _ help: String) -> Secret {
        read(name, .secret, default: Secret(value), help)
    }

    mutating func path(_ name: String, default value: String, reloads: Bool = false, _ help: String) -> String {
        read(name, .path, default: value, reloads: reloads, help)
    }

    /// An optional path: nil if absent or empty.
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

    /// 0 by default.
    mutating func powerOfTwo(_ name: String, upTo limit: Int, reloads: Bool = false, _ help: String) -> Int {
        read(name, .powerOfTwo(limit), default: 0, reloads: reloads, help)
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

    mutating func rules(_ name: String, reloads: Bool = false, _ help: String) -> [BudgetRule] {
        read(name, .rules, default: [BudgetRule](), reloads: reloads, help)
    }

    /// nil if absent or empty.
    mutating func schedule(_ name: String, reloads: Bool = false, _ help: String) -> BandwidthSchedule? {
        BandwidthSchedule(read(name, .schedule, default: "", reloads: reloads, help))
    }

    /// nil for 0.
    mutating func latencyBudget(_ name: String, reloads: Bool = false, _ help: String) -> LatencyBudget? {
        LatencyBudget(read(name, .latencyBudget, default: "0", reloads: reloads, help))
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
        case let rules as [BudgetRule]: BudgetRule.json(rules)
        case let secret as Secret: secret.reveal()
        default: "\(value)"
        }
    }
}
