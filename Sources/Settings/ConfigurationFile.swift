import Foundation
import Yams

/// A configuration file: one YAML mapping of keys to scalars and lists. JSON is YAML.
package struct ConfigurationFile {
    /// A value, and the line of its key, from 1.
    package struct Entry {
        let value: RawValue
        let line: Int?
    }

    /// In the order of the file; keys without a value are left out.
    package let entries: [(name: String, entry: Entry)]

    /// Why a file cannot be read, in one line without its content.
    package struct Failure: Error {
        let reason: String
    }

    /// - Throws: ``Failure`` when it is not YAML, or not a mapping of strings.
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
            guard let name = key.scalar?.string else { throw Failure(reason: "keys must be words") }
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
            return texts.count == members.count ? .list(texts) : .nested
        default: return .nested
        }
    }

    /// A key without a value, or with null, counts as not given.
    private static func isNull(_ node: Node) -> Bool {
        guard let scalar = node.scalar, scalar.style == .plain || scalar.style == .any else { return false }
        return ["", "~", "null", "Null", "NULL"].contains(scalar.string)
    }

    /// Yams' messages show the lines around the fault, which may hold a password: only place and problem are taken.
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
