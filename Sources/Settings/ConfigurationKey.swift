/// One setting: its name in every layer, its type, default and allowed values.
package struct ConfigurationKey: Sendable, Equatable {
    /// The type of a value and its limits.
    package enum Kind: Sendable, Equatable {
        /// A non-empty string.
        case text
        /// A non-empty string that is never shown.
        case secret
        /// A path; may only be empty, meaning none, if the default is none.
        case path
        case boolean
        case integer(ClosedRange<Int>)
        /// A power of two up to a limit, or 0.
        case powerOfTwo(Int)
        /// Seconds (or the unit in the key's name); fractions are allowed.
        case number(ClosedRange<Double>)
        case choice([String])
        /// Absolute paths and globs: a YAML list, or comma-separated in a flag or environment variable.
        case absolutePaths
        /// `HOST:PORT`, or empty.
        case listenAddress
        /// Members of ``BudgetRule``: a YAML list, or JSON in a flag or environment variable.
        case rules
        /// ``BandwidthSchedule``, or empty.
        case schedule
        /// ``LatencyBudget``, or 0 for none.
        case latencyBudget
    }

    /// The group of a key in help output.
    package enum Section: String, Sendable {
        case bus = "Message bus"
        case hypervisor = "Hypervisor and volumes"
        case swap = "Defaults of a swap"
        case daemon = "Daemon"
    }

    /// The key in the configuration file: `max_concurrent_swaps`.
    package let name: String
    /// Its type and limits.
    package let kind: Kind
    /// Its group in help output.
    package let section: Section
    /// The default as an operator would write it; empty if there is none.
    package let defaultText: String
    /// Whether a running worker applies a new value; other keys need a restart.
    package let reloads: Bool
    /// What it does, in one sentence.
    package let help: String

    /// The environment variable: `PIVOTD_MAX_CONCURRENT_SWAPS`.
    package var environmentVariable: String { "PIVOTD_\(name.uppercased())" }
    /// The long flag without its dashes: `max-concurrent-swaps`.
    package var flag: String { name.replacing("_", with: "-") }
    /// Whether values must not be shown.
    package var isSecret: Bool { kind == .secret }
}

extension ConfigurationKey.Kind {
    /// The placeholder for a value in help output: `integer 1…256`, `list`.
    package var placeholder: String {
        switch self {
        case .text, .secret: "string"
        case .boolean: "bool"
        case .powerOfTwo: "power of two"
        case .absolutePaths: "list"
        case .listenAddress: "host:port"
        case .rules: "json"
        case .schedule: "schedule"
        case .latencyBudget: "ms|factor"
        default: allowed
        }
    }

    /// The allowed values, for error messages: `integer 1…256`.
    package var allowed: String {
        switch self {
        case .text: "non-empty string"
        case .secret: "non-empty string"
        case .path: "path"
        case .boolean: "true or false"
        case .integer(let range):
            range.upperBound == .max ? "integer from \(range.lowerBound)" : "integer \(range.lowerBound)…\(range.upperBound)"
        case .powerOfTwo(let limit): "power of two up to \(limit), or 0"
        case .number(let range):
            range.upperBound == .infinity
                ? "number from \(Self.short(range.lowerBound))"
                : "number \(Self.short(range.lowerBound))…\(Self.short(range.upperBound))"
        case .choice(let choices): choices.joined(separator: "|")
        case .absolutePaths: "list of absolute paths and globs"
        case .listenAddress: "HOST:PORT, or empty"
        case .rules: "list of {match: {side, driver, where}, bandwidth_mib_s, concurrent}, each with at least one of the last two"
        case .schedule: "HH:MM MIB/S or HH:MM pause; …, or empty"
        case .latencyBudget: "milliseconds, or a factor such as 2x"
        }
    }

    private static func short(_ number: Double) -> String {
        Int(exactly: number).map(String.init) ?? "\(number)"
    }
}
