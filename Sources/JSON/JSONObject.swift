internal import OrderedCollections

/// The members of a JSON object in insertion order.
///
/// Objects with the same members are equal, whatever their order.
package struct JSONObject: Sendable {
    /// A member: key and value.
    package typealias Element = (key: String, value: JSONValue)

    private var members: OrderedDictionary<String, JSONValue> = [:]

    /// An empty object.
    package init() {}

    /// An empty object with room for this many members.
    package init(minimumCapacity: Int) { members = OrderedDictionary(minimumCapacity: minimumCapacity) }

    /// An object with these members in order; the last of duplicate keys wins.
    package init(_ members: some Sequence<(String, JSONValue)>) {
        for (key, value) in members { self.members[key] = value }
    }

    /// The keys in insertion order.
    package var keys: [String] { members.keys.elements }
    /// The values in insertion order.
    package var values: some RandomAccessCollection<JSONValue> { members.values }

    /// A member's value; set nil to remove the member.
    package subscript(key: String) -> JSONValue? {
        get { members[key] }
        set { members[key] = newValue }
        _modify { yield &members[key] }
    }

    /// The object with the members of another one added; the other's values win.
    package func merging(_ others: JSONObject) -> JSONObject {
        var merged = self
        merged.merge(others)
        return merged
    }

    /// The object with its values transformed.
    package func mapValues(_ transform: (JSONValue) -> JSONValue) -> JSONObject {
        var mapped = self
        mapped.members = members.mapValues(transform)
        return mapped
    }

    /// Removes a member; returns its value, if it was there.
    @discardableResult
    package mutating func removeValue(forKey key: String) -> JSONValue? { members.removeValue(forKey: key) }

    /// Adds the members of another object; the other's values win.
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
