internal import OrderedCollections

/// The members of a JSON object in the order in which they were written.
///
/// Two objects are equal when they have the same members, in whatever order.
package struct JSONObject: Sendable {
    package typealias Element = (key: String, value: JSONValue)

    private var members: OrderedDictionary<String, JSONValue> = [:]

    package init() {}

    package init(minimumCapacity: Int) { members = OrderedDictionary(minimumCapacity: minimumCapacity) }

    /// The members in their order; the last of duplicate keys wins.
    package init(_ members: some Sequence<(String, JSONValue)>) {
        for (key, value) in members { self.members[key] = value }
    }

    package var keys: [String] { members.keys.elements }
    package var values: some RandomAccessCollection<JSONValue> { members.values }

    package subscript(key: String) -> JSONValue? {
        get { members[key] }
        set { members[key] = newValue }
        _modify { yield &members[key] }
    }

    package func merging(_ others: JSONObject) -> JSONObject {
        var merged = self
        merged.merge(others)
        return merged
    }

    /// The same members with other values.
    package func mapValues(_ transform: (JSONValue) -> JSONValue) -> JSONObject {
        var mapped = self
        mapped.members = members.mapValues(transform)
        return mapped
    }

    @discardableResult
    package mutating func removeValue(forKey key: String) -> JSONValue? { members.removeValue(forKey: key) }

    /// Adds the members of another object; where both have one, the other's value replaces it.
    package mutating func merge(_ others: JSONObject) { members.merge(others.members) { _, new in new } }
}

extension JSONObject: RandomAccessCollection {
    package var startIndex: Int { 0 }
    package var endIndex: Int { members.count }
    package subscript(position: Int) -> Element { members.elements[position] }
}

extension JSONObject: Hashable {
    package static func == (left: JSONObject, right: JSONObject) -> Bool {
        left.count == right.count && left.allSatisfy { key, value in right[key] == value }
    }

    package func hash(into hasher: inout Hasher) { hasher.combine(Set(members.keys)) }
}

extension JSONObject: ExpressibleByDictionaryLiteral {
    package init(dictionaryLiteral members: (String, JSONValue)...) { self.init(members) }
}
