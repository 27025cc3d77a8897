import Foundation
import Yams

/// A configuration file: one YAML mapping of keys to scalars and lists. JSON is YAML.
package struct ConfigurationFile {
    /// A value, and the line of its key, counted from 1.
    package struct Entry {
        let value: RawValue
        let line: Int?
    }

    /// In the order of the file, without keys that have no value.
    package let entries: [(name: String, entry: Entry)]

    /// Why a file cannot be parsed, in one line that does not quote it.
    package struct Failure: Error {
        let reason: String
    }

    /// - Throws: ``Failure`` if it is not YAML, or not a mapping with string keys.
    package init(yaml: String) throws(Failure) {
        let root: Node?
        do {
            root = try Yams.compose(yaml: yaml)
        } catch {
            throw Failure(reason: Self.reason(error))
        }
        switch root {
        case nil: entries = []
        case .scalar(let scalar) where scalar.string.isEmpty || scalar.string == "null" || scalar.string == "~": entries = []
        case .mapping(let mapping): entries = try Self.entries(mapping)
        default: throw Failure(reason: "must be a mapping of keys to values")
        }
    }

    private static func entries(_ mapping: Node.Mapping) throws(Failure) -> [(name: String, entry: Entry)] {
        var entries: [(name: String, entry: Entry)] = []
        for (key, value) in mapping {
            guard let name = key.scalar?.string else { throw Failure(reason: "keys must be strings") }
            guard !isNull(value) else { continue }
            entries.append((name, Entry(value: rawValue(value), line: key.mark?.line)))
        }
        return entries
    }

    private static func rawValue(_ node: Node) -> RawValue {
        switch node {
        case .scalar(let scalar): return .text(scalar.string)
        case .sequence(let members):
            let texts = members.compactMap { isNull($0) ? nil : $0.scalar?.string }
            return texts.count == members.count ? .list(texts) : .nested(json(node))
        default: return .nested(json(node))
        }
    }

    private static func json(_ node: Node) -> String? {
        guard JSONSerialization.isValidJSONObject(node.any), let data = try? JSONSerialization.data(withJSONObject: node.any)
        else { return nil }
        return String(decoding: data, as: UTF8.self)
    }

    /// Whether a key has no value, or null, and counts as absent.
    private static func isNull(_ node: Node) -> Bool {
        guard let scalar = node.scalar, scalar.style == .plain || scalar.style == .any else { return false }
        return ["", "~", "null", "Null", "NULL"].contains(scalar.string)
    }

    /// Only takes place and problem from Yams' messages, which quote the lines around the fault and so perhaps a password.
    private static func reason(_ error: any Error) -> String {
        switch error as? YamlError {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _), .composer(_, let problem, let mark, _):
            "line \(mark.line): \(problem)"
        case .duplicatedKeysInMapping(let keys, _):
            "given twice: \(keys.joined(separator: ", "))"
        default: "is not YAML"
        }
    }
}
