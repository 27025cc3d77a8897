import Budgets

/// The parsed settings of one source: flags, environment or file.
struct ConfigurationLayer {
    /// By key, as returned by ``ConfigurationKey/parse(_:)``.
    private(set) var values: [String: any Sendable] = [:]
    private(set) var problems: [String] = []

    /// Reads flags, given by key.
    init(flags: [String: String]) {
        for (name, text) in flags.sorted(by: { $0.key < $1.key }) where name != "config" {
            guard let key = PivotdConfiguration.key(name) else {
                problems.append("--\(name.replacing("_", with: "-")) is not known")
                continue
            }
            take(key, .text(text), from: "--\(key.flag)")
        }
    }

    /// Reads the variables that begin with `PIVOTD_`.
    init(environment: [String: String]) {
        let known = ["PIVOTD_CONFIG"] + PivotdConfiguration.keys.map(\.environmentVariable)
        for (variable, text) in environment.sorted(by: { $0.key < $1.key }) where variable.hasPrefix("PIVOTD_") {
            if variable == "PIVOTD_CONFIG" || Self.isForeign(variable) { continue }
            guard let key = PivotdConfiguration.keys.first(where: { $0.environmentVariable == variable }) else {
                problems.append("environment variable \(variable) is not known\(Self.hint(variable, known))")
                continue
            }
            take(key, .text(text), from: variable)
        }
    }

    /// - Parameter path: The file's name, for messages.
    init(file: ConfigurationFile, path: String) {
        for (name, entry) in file.entries {
            let place = entry.line.map { "\(path):\($0): " } ?? "\(path): "
            guard let key = PivotdConfiguration.key(name) else {
                problems.append("\(place)\(name) is not known\(Self.hint(name, PivotdConfiguration.keys.map(\.name)))")
                continue
            }
            take(key, entry.value, from: "\(place)\(name)")
        }
    }

    private mutating func take(_ key: ConfigurationKey, _ value: RawValue, from place: String) {
        guard let content = key.parse(value) else {
            problems.append("\(place) must be: \(key.kind.allowed)\(Self.shown(value, key))")
            return
        }
        values[key.name] = content
    }

    private static func shown(_ value: RawValue, _ key: ConfigurationKey) -> String {
        guard !key.isSecret else { return "" }
        switch (key.kind, value) {
        case (.rules, .text(let json)), (.rules, .nested(let json?)):
            return BudgetRule.fault(json: json, of: key.name).map { "; \($0)" } ?? ""
        case (_, .text(let text)): return "; given: \"\(text.prefix(200))\""
        case (_, .list(let members)): return "; given: the list [\(members.joined(separator: ", ").prefix(200))]"
        case (_, .nested): return "; given: a mapping or a list of lists"
        }
    }

    private static func hint(_ name: String, _ candidates: [String]) -> String {
        Suggestion.nearest(to: name, in: candidates).map { "; did you mean \($0)?" } ?? ""
    }

    /// Variables with our prefix that are not settings: the tests' own, and those that Kubernetes and Docker links set for a
    /// service named `pivotd`.
    static let foreignVariables = ["PIVOTD_TEST_*", "PIVOTD_SERVICE_*", "PIVOTD_PORT", "PIVOTD_PORT_*"]

    private static func isForeign(_ variable: String) -> Bool {
        foreignVariables.contains { pattern in
            pattern.hasSuffix("*") ? variable.hasPrefix(pattern.dropLast()) : variable == pattern
        }
    }
}
