import Foundation
package import JSON
import OsloMessaging
import Synchronization

/// Renames the objects that messages refer to, so that a capture from one cloud can be replayed on another.
///
/// An old name is replaced wherever it is a word of its own: a volume id in `volume-ID`, a host in `HOST:3260` and `TOPIC.HOST`,
/// a directory with everything below it, also in JSON strings that hold JSON. UUIDs match in either case.
package struct IDMap: Sendable {
    private struct Rule: Sendable {
        let old: [UInt8]
        let new: [UInt8]
        let use = Use()
        private let kind: Kind

        private enum Kind {
            case word
            case path
            case uuid
        }

        init(old: String, new: String) {
            kind = old.hasPrefix("/") ? .path : UUID(uuidString: old) != nil ? .uuid : .word
            self.old = Array((kind == .uuid ? old.lowercased() : old).utf8)
            self.new = Array(new.utf8)
        }

        /// Whether the name occurs here and is not part of a longer one.
        func applies(at index: Int, of bytes: [UInt8]) -> Bool {
            let end = index + old.count
            guard end <= bytes.count, spells(bytes[index..<end]) else { return false }
            if index > 0, joins(bytes[index - 1], bytes[index], beyond: index > 1 ? bytes[index - 2] : 0) { return false }
            // Anything may follow a path that ends in a slash.
            guard end < bytes.count, kind != .path || bytes[end - 1] != UInt8(ascii: "/") else { return true }
            return !joins(bytes[end], bytes[end - 1], beyond: end + 1 < bytes.count ? bytes[end + 1] : 0)
        }

        func spells(_ bytes: ArraySlice<UInt8>) -> Bool {
            if kind == .uuid { return zip(bytes, old).allSatisfy { IDMap.lowercased($0) == $1 } }
            return bytes.first == old.first && bytes.elementsEqual(old)
        }

        /// Whether an adjacent byte makes the name part of a longer one: another letter or digit, an address's next number, or
        /// any other character of a file name.
        private func joins(_ neighbour: UInt8, _ edge: UInt8, beyond: UInt8) -> Bool {
            if kind == .path { return IDMap.isOfFileName(neighbour) }
            guard IDMap.isAlphanumeric(edge) else { return false }
            if neighbour == UInt8(ascii: "."), edge.isDigit, beyond.isDigit { return true }
            return IDMap.isAlphanumeric(neighbour)
        }
    }

    /// Whether a rule has ever applied.
    private final class Use: Sendable {
        let isUsed = Atomic(false)
    }

    private var rules: [Rule] = []

    package init() {}

    /// Whether it has no rules.
    package var isEmpty: Bool { rules.isEmpty }

    /// The old names that have not occurred so far.
    package var unused: [String] {
        rules.filter { !$0.use.isUsed.load(ordering: .relaxed) }.map { String(decoding: $0.old, as: UTF8.self) }
    }

    /// Adds `OLD=NEW`. Rules apply in the order they were added, but not to what another rule has inserted.
    ///
    /// - Throws: ``CaptureError`` `usage`.
    package mutating func add(_ text: String) throws(CaptureError) {
        guard let mark = text.firstIndex(of: "="), mark != text.startIndex else {
            throw CaptureError(.usage, "map: expected OLD=NEW, not '\(text)'")
        }
        let rule = Rule(old: String(text[..<mark]), new: String(text[text.index(after: mark)...]))
        guard !rule.new.isEmpty else { throw CaptureError(.usage, "map: '\(text)' has nothing after the equals sign") }
        guard !rules.contains(where: { $0.old == rule.old }) else {
            throw CaptureError(.usage, "map: '\(text[..<mark])' is mapped twice")
        }
        rules.append(rule)
    }

    /// The value with all names in its strings replaced.
    package func mapped(_ value: JSONValue) -> JSONValue {
        guard !rules.isEmpty else { return value }
        switch value {
        case .object(let members): return .object(members.mapValues(mapped))
        case .array(let elements): return .array(elements.map(mapped))
        case .string(let text): return .string(mapped(text))
        default: return value
        }
    }

    /// The string with all names replaced; one that is JSON is mapped inside.
    package func mapped(_ text: String) -> String {
        let bytes = Array(text.utf8)
        guard rules.contains(where: { Self.contains(bytes, $0) }) else { return text }
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
            if let rule = rules.first(where: { $0.applies(at: index, of: bytes) }) {
                rule.use.isUsed.store(true, ordering: .relaxed)
                result += rule.new
                index += rule.old.count
            } else {
                result.append(bytes[index])
                index += 1
            }
        }
        return result
    }

    private static func contains(_ bytes: [UInt8], _ rule: Rule) -> Bool {
        guard bytes.count >= rule.old.count else { return false }
        return (0...bytes.count - rule.old.count).contains { rule.spells(bytes[$0..<$0 + rule.old.count]) }
    }

    fileprivate static func lowercased(_ byte: UInt8) -> UInt8 { byte.isCapital ? byte | 0x20 : byte }

    fileprivate static func isOfFileName(_ byte: UInt8) -> Bool { isAlphanumeric(byte) || "-.+".utf8.contains(byte) }

    fileprivate static func isAlphanumeric(_ byte: UInt8) -> Bool {
        byte.isDigit || byte.isCapital || byte.isSmall || byte == UInt8(ascii: "_") || byte >= 0x80
    }
}

/// Gives messages new ids for this replay; equal ids stay equal, so that duplicates remain duplicates.
package struct FreshIDs: Sendable {
    private let salt = UniqueID.random()

    package init() {}

    /// The new id for an old one; a UUID for a UUID, whose case does not count.
    package func id(for old: String) -> String {
        let dashes = [8, 13, 18, 23]
        let bytes = Array(old.utf8)
        guard bytes.count == 36, dashes.allSatisfy({ bytes[$0] == UInt8(ascii: "-") }) else {
            return UniqueID.derived(from: salt + old)
        }
        var id = UniqueID.derived(from: salt + old.lowercased())
        for dash in dashes { id.insert("-", at: id.index(id.startIndex, offsetBy: dash)) }
        return id
    }

    /// Renews `_msg_id` and `_unique_id`, and the tokens and task ids by which requests name their task.
    func renew(_ inner: inout JSONObject) {
        for key in ["_msg_id", "_unique_id"] {
            if let old = inner[key]?.stringValue, !old.isEmpty { inner[key] = .string(id(for: old)) }
        }
        guard var args = inner["args"]?.objectValue else { return }
        for key in ["task_id", "request_token"] {
            if let old = args[key]?.stringValue { args[key] = .string(id(for: old)) }
        }
        if let tasks = args["task_ids"]?.arrayValue {
            args["task_ids"] = .array(tasks.map { task in task.stringValue.map { .string(id(for: $0)) } ?? task })
        }
        inner["args"] = .object(args)
    }
}
