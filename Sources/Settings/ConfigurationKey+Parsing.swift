import Basics
import Budgets
import Foundation
import Observability

/// A value as a layer holds it, before its type is known.
package enum RawValue: Sendable, Equatable {
    case text(String)
    case list([String])
    /// A mapping, or a list that contains anything but scalars: as JSON, if it can be that.
    case nested(String?)
}

extension ConfigurationKey {
    /// Parses a value.
    ///
    /// - Returns: A `String`, ``Secret``, `Bool`, `Int`, `Double` or `[String]`, depending on the key's kind; nil if the key
    ///   does not allow the value.
    func parse(_ value: RawValue) -> (any Sendable)? {
        switch (kind, value) {
        case (.absolutePaths, .list(let members)): Self.paths(members)
        case (.absolutePaths, .text(let text)):
            Self.paths(text.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }.filter { !$0.isEmpty })
        case (.rules, .list(let members)): members.isEmpty ? [BudgetRule]() : nil
        case (.rules, .text(let text)), (.rules, .nested(let text?)): text.isEmpty ? [] : BudgetRule.rules(json: text)
        case (.schedule, .text(let text)): text.isEmpty || BandwidthSchedule(text) != nil ? text : nil
        case (.latencyBudget, .text(let text)): Double(text) == 0 || LatencyBudget(text) != nil ? text : nil
        case (_, .list), (_, .nested): nil
        case (.text, .text(let text)): text.isEmpty ? nil : text
        case (.secret, .text(let text)): text.isEmpty ? nil : Secret(text)
        case (.path, .text(let text)): text.isEmpty && !defaultText.isEmpty ? nil : text
        case (.listenAddress, .text(let text)): text.isEmpty || ListenAddress(text) != nil ? text : nil
        case (.choice(let choices), .text(let text)): choices.contains(text) ? text : nil
        case (.boolean, .text(let text)): Self.boolean(text.trimmingCharacters(in: .whitespaces))
        case (.integer(let range), .text(let text)):
            Int(text.trimmingCharacters(in: .whitespaces)).flatMap { range.contains($0) ? $0 : nil }
        case (.powerOfTwo(let limit), .text(let text)):
            Int(text.trimmingCharacters(in: .whitespaces)).flatMap { $0 == 0 || $0.isPowerOfTwo && $0 <= limit ? $0 : nil }
        case (.number(let range), .text(let text)):
            Double(text.trimmingCharacters(in: .whitespaces)).flatMap { $0.isFinite && range.contains($0) ? $0 : nil }
        }
    }

    private static func boolean(_ text: String) -> Bool? {
        switch text.lowercased() {
        case "true", "yes", "on", "1": true
        case "false", "no", "off", "0": false
        default: nil
        }
    }

    private static func paths(_ members: [String]) -> [String]? {
        members.allSatisfy { $0.hasPrefix("/") } ? members : nil
    }
}
