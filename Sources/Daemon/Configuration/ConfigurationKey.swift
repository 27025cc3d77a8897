/// One setting: its name in every layer, its type, its default and what it may be.
package struct ConfigurationKey: Sendable, Equatable {
    /// The type of a value and its limits.
    package enum Kind: Sendable, Equatable {
        case text
        /// A text that is never shown.
        case secret
        case path
        case boolean
        case integer(ClosedRange<Int>)
        /// Seconds (or the unit the key's name says); fractions are allowed.
        case number(ClosedRange<Double>)
        case choice([String])
        /// A YAML list; in a flag or an environment variable its members are separated by commas.
        case list
        /// `HOST:PORT`, or empty.
        case listenAddress
    }

    /// Where a key belongs in help texts.
    package enum Section: String, Sendable, CaseIterable {
        case bus = "Message bus"
        case hypervisor = "Hypervisor and volumes"
        case swap = "Defaults of a swap"
        case daemon = "Daemon"
    }

    /// The key in the configuration file: `max_concurrent_swaps`.
    package let name: String
    package let kind: Kind
    package let section: Section
    /// The default as an operator would write it; empty when there is none.
    package let defaultText: String
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
    /// What a value may be, for help texts and error messages: `integer 1…256`.
    package var allowed: String {
        switch self {
        case .text: "text"
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
        case .list: "list"
        case .listenAddress: "HOST:PORT, or empty"
        }
    }

    private static func short(_ number: Double) -> String {
        Int(exactly: number).map(String.init) ?? "\(number)"
    }
}
