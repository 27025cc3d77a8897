/// One setting: its name in every layer, its type, its default and what it may be.
package struct ConfigurationKey: Sendable, Equatable {
    /// The type of a value and its limits.
    package enum Kind: Sendable, Equatable {
        /// A string that is not empty.
        case text
        /// A string that is not empty and never shown.
        case secret
        /// A path; empty, which means none, only where the default is none.
        case path
        case boolean
        case integer(ClosedRange<Int>)
        /// Seconds (or the unit the key's name says); fractions are allowed.
        case number(ClosedRange<Double>)
        case choice([String])
        /// Absolute paths and globs: a YAML list; in a flag or an environment variable separated by commas.
        case absolutePaths
        /// `HOST:PORT`, or empty.
        case listenAddress
    }

    /// Where a key belongs in help texts.
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
    /// Its place in help texts.
    package let section: Section
    /// The default as an operator would write it; empty when there is none.
    package let defaultText: String
    /// Whether a running worker takes a new value; all others wait for a restart.
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
    /// The kind in one word, for the place of a value in help texts: `integer 1…256`, `list`.
    package var placeholder: String {
        switch self {
        case .text, .secret: "text"
        case .boolean: "bool"
        case .absolutePaths: "list"
        case .listenAddress: "host:port"
        default: allowed
        }
    }

    /// What a value may be, for error messages: `integer 1…256`.
    package var allowed: String {
        switch self {
        case .text: "text, not empty"
        case .secret: "text, not empty"
        case .path: "path"
        case .boolean: "true or false"
        case .integer(let range):
            range.upperBound == .max ? "integer from \(range.lowerBound)" : "integer \(range.lowerBound)…\(range.upperBound)"
        case .number(let range):
            range.upperBound == .infinity
                ? "number from \(Self.short(range.lowerBound))"
                : "number \(Self.short(range.lowerBound))…\(Self.short(range.upperBound))"
        case .choice(let choices): choices.joined(separator: "|")
        case .absolutePaths: "list of absolute paths and globs"
        case .listenAddress: "HOST:PORT, or empty"
        }
    }

    private static func short(_ number: Double) -> String {
        Int(exactly: number).map(String.init) ?? "\(number)"
    }
}
