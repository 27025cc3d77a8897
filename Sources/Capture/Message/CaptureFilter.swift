import Basics
import Foundation
import OsloMessaging

/// Selects messages: `method=swap_volume and instance=UUID`, `volume~abc or time>=2026-11-23T10:00:00Z`.
///
/// A condition is a key, an operator and a case-insensitive value. Keys: `method`, `kind` (``CapturedMessage/kind``), `instance`,
/// `disk`, `volume` (the old or the new one), `exchange`, `routing_key`, `time`. Operators: `=`, `!=`, `~` (contains), and for
/// `time` also `<`, `<=`, `>`, `>=`. `and` binds closer than `or`; a comma is an `and`. A value with blanks needs quotes.
package struct CaptureFilter: Sendable {
    private struct Condition: Sendable {
        let key: String
        let comparison: Comparison
        let value: String
        /// The value of a `time` condition.
        let moment: Date?
    }

    private enum Comparison: String {
        case equal = "="
        case unequal = "!="
        case contains = "~"
        case less = "<"
        case lessOrEqual = "<="
        case greater = ">"
        case greaterOrEqual = ">="
    }

    private static let keys = ["method", "kind", "instance", "disk", "volume", "exchange", "routing_key", "time"]

    /// Every condition of at least one of these lists must hold.
    private let alternatives: [[Condition]]

    /// - Throws: ``CaptureError`` `usage`.
    package init(parsing text: String) throws(CaptureError) {
        var tokens = try Self.tokens(text)[...]
        var alternatives: [[Condition]] = [[]]
        while true {
            alternatives[alternatives.count - 1].append(try Self.condition(&tokens))
            guard let junction = tokens.popFirst() else { break }
            switch junction {
            case "and", "&&", "&", ",": continue
            case "or", "||", "|": alternatives.append([])
            default: throw CaptureError(.usage, "filter: expected 'and', 'or' or the end, not '\(junction)'")
            }
        }
        self.alternatives = alternatives
    }

    /// Whether a message is selected.
    package func matches(_ line: CaptureLine, _ message: CapturedMessage) -> Bool {
        alternatives.contains { $0.allSatisfy { Self.holds($0, line, message) } }
    }

    private static func holds(_ condition: Condition, _ line: CaptureLine, _ message: CapturedMessage) -> Bool {
        if let moment = condition.moment {
            guard let time = line.capturedAt else { return false }
            switch condition.comparison {
            case .less: return time < moment
            case .lessOrEqual: return time <= moment
            case .greater: return time > moment
            case .greaterOrEqual: return time >= moment
            case .unequal: return time != moment
            case .equal, .contains: return time == moment
            }
        }
        let values = values(condition.key, line, message).map { $0.lowercased() }
        switch condition.comparison {
        case .equal: return values.contains(condition.value)
        case .unequal: return !values.contains(condition.value)
        default: return values.contains { $0.contains(condition.value) }
        }
    }

    private static func values(_ key: String, _ line: CaptureLine, _ message: CapturedMessage) -> [String] {
        switch key {
        case "exchange": return [line.exchange]
        case "routing_key": return [line.routingKey]
        case "kind": return [message.kind]
        default: break
        }
        guard case .request(let request) = message else { return [] }
        switch key {
        case "method": return [request.method]
        case "instance": return [request.instance].compactMap { $0 }
        case "disk": return [request.disk].compactMap { $0 }
        default: return request.volumes
        }
    }

    private static func condition(_ tokens: inout ArraySlice<String>) throws(CaptureError) -> Condition {
        guard let key = tokens.popFirst() else { throw CaptureError(.usage, "filter: a condition is missing at the end") }
        guard keys.contains(key) else {
            throw CaptureError(.usage, "filter: '\(key)' is not a key; keys are \(keys.joined(separator: ", "))")
        }
        guard let sign = tokens.popFirst(), let comparison = Comparison(rawValue: sign == "==" ? "=" : sign) else {
            throw CaptureError(.usage, "filter: expected an operator after \(key): = != ~ < <= > >=")
        }
        guard let value = tokens.popFirst() else { throw CaptureError(.usage, "filter: expected a value after \(key)\(sign)") }
        guard key == "time" else {
            guard [.equal, .unequal, .contains].contains(comparison) else {
                throw CaptureError(.usage, "filter: \(sign) only works with time")
            }
            if key == "kind", comparison != .contains, !CapturedMessage.kinds.contains(value.lowercased()) {
                throw CaptureError(
                    .usage, "filter: '\(value)' is not a kind; kinds are \(CapturedMessage.kinds.joined(separator: ", "))")
            }
            let isDisk = key == "disk" && comparison != .contains
            let wanted = isDisk ? RPCRequest.diskName(value) : value
            return Condition(key: key, comparison: comparison, value: wanted.lowercased(), moment: nil)
        }
        guard let moment = Timestamp.date(value) ?? Timestamp.date(value + "T00:00:00Z") else {
            throw CaptureError(.usage, "filter: '\(value)' is not a time such as 2026-11-23T10:00:00Z")
        }
        return Condition(key: key, comparison: comparison, value: value, moment: moment)
    }

    /// Words, values and operators.
    private static func tokens(_ text: String) throws(CaptureError) -> [String] {
        var tokens: [String] = []
        var rest = text[...]
        while let first = rest.first {
            if first.isWhitespace {
                rest.removeFirst()
            } else if first == "," {
                tokens.append(",")
                rest.removeFirst()
            } else if first == "\"" || first == "'" {
                guard let end = rest.dropFirst().firstIndex(of: first) else {
                    throw CaptureError(.usage, "filter: a quote is not closed")
                }
                tokens.append(String(rest[rest.index(after: rest.startIndex)..<end]))
                rest = rest[rest.index(after: end)...]
            } else {
                let isOperator = isOperatorCharacter(first)
                let token = rest.prefix {
                    isOperatorCharacter($0) == isOperator && !$0.isWhitespace && $0 != "," && $0 != "\"" && $0 != "'"
                }
                tokens.append(String(token))
                rest = rest[token.endIndex...]
            }
        }
        return tokens
    }

    private static func isOperatorCharacter(_ character: Character) -> Bool { "=!~<>&|".contains(character) }
}
