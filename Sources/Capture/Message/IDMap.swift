import Foundation
package import JSON
import OrderedCollections
import OsloMessaging

/// Renames what a message talks of, so that what was captured on one cloud can be replayed on another.
///
/// An old name is replaced wherever it stands as a word of its own: a volume id in `volume-ID`, a host in `HOST:3260` and
/// `TOPIC.HOST`, a directory at the beginning of a path, also in JSON texts within JSON.
package struct IDMap: Sendable {
    private struct Rule: Sendable {
        let old: [UInt8]
        let new: [UInt8]
    }

    private var rules: [Rule] = []

    package init() {}

    package var isEmpty: Bool { rules.isEmpty }

    /// Adds `OLD=NEW`; rules apply in the order in which they were added, and not to what another one has put in.
    ///
    /// - Throws: ``CaptureError`` of code `usage`.
    package mutating func add(_ text: String) throws(CaptureError) {
        guard let mark = text.firstIndex(of: "="), mark != text.startIndex else {
            throw CaptureError(.usage, "map: '\(text)' should be OLD=NEW")
        }
        rules.append(Rule(old: Array(text[..<mark].utf8), new: Array(text[text.index(after: mark)...].utf8)))
    }

    package func mapped(_ value: JSONValue) -> JSONValue {
        guard !rules.isEmpty else { return value }
        switch value {
        case .object(let members): return .object(members.mapValues(mapped))
        case .array(let elements): return .array(elements.map(mapped))
        case .string(let text): return .string(mapped(text))
        default: return value
        }
    }

    /// A text; one that is JSON itself is mapped within.
    package func mapped(_ text: String) -> String {
        let bytes = Array(text.utf8)
        guard rules.contains(where: { contains(bytes, $0.old) }) else { return text }
        if let first = bytes.first(where: { $0 > 0x20 }), first == UInt8(ascii: "{") || first == UInt8(ascii: "["),
            let value = try? JSONValue(parsing: bytes)
        {
            return mapped(value).serialized()
        }
        return String(decoding: replaced(bytes), as: UTF8.self)
    }

    private func replaced(_ bytes: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(bytes.count)
        var index = 0
        while index < bytes.count {
            if let rule = rules.first(where: { Self.isWord($0.old, at: index, of: bytes) }) {
                result += rule.new
                index += rule.old.count
            } else {
                result.append(bytes[index])
                index += 1
            }
        }
        return result
    }

    private func contains(_ bytes: [UInt8], _ part: [UInt8]) -> Bool {
        guard let first = part.first, bytes.count >= part.count else { return false }
        return (0...bytes.count - part.count).contains { bytes[$0] == first && bytes[$0..<$0 + part.count].elementsEqual(part) }
    }

    /// Whether the name stands at this place, and no letter or digit of a longer name is beside it.
    private static func isWord(_ name: [UInt8], at index: Int, of bytes: [UInt8]) -> Bool {
        let end = index + name.count
        guard bytes[index] == name.first, end <= bytes.count, bytes[index..<end].elementsEqual(name) else { return false }
        if index > 0, joins(bytes[index - 1], bytes[index], beyond: index > 1 ? bytes[index - 2] : 0) { return false }
        if end < bytes.count, joins(bytes[end], bytes[end - 1], beyond: end + 1 < bytes.count ? bytes[end + 1] : 0) {
            return false
        }
        return true
    }

    /// Whether a byte beside a name makes both one longer name: a letter or digit after another, or an address's next number.
    private static func joins(_ neighbour: UInt8, _ edge: UInt8, beyond: UInt8) -> Bool {
        guard isAlphanumeric(edge) else { return false }
        if neighbour == UInt8(ascii: "."), isDigit(edge), isDigit(beyond) { return true }
        return isAlphanumeric(neighbour)
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (48...57).contains(byte) }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        isDigit(byte) || (65...90).contains(byte) || (97...122).contains(byte) || byte == UInt8(ascii: "_") || byte >= 0x80
    }
}

/// Gives messages ids of this replay's own; equal ids stay equal, so that a message that came twice comes twice again.
package struct FreshIDs: Sendable {
    private let salt = UniqueID.random()

    package init() {}

    package func id(for old: String) -> String { UniqueID.derived(from: salt + old) }

    /// Renews `_msg_id` and `_unique_id`, and the task ids by which other requests speak of it.
    func renew(_ inner: inout JSONObject) {
        for key in ["_msg_id", "_unique_id"] {
            if let old = inner[key]?.stringValue, !old.isEmpty { inner[key] = .string(id(for: old)) }
        }
        if var args = inner["args"]?.objectValue, let task = args["task_id"]?.stringValue {
            args["task_id"] = .string(id(for: task))
            inner["args"] = .object(args)
        }
    }
}
