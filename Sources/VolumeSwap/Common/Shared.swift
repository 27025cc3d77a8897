/// A value that goes through many hands and seldom changes, as one reference: to copy it is to copy a pointer.
///
/// A change makes a new value; what others hold stays as it is.
@dynamicMemberLookup
package struct Shared<Facts: Sendable>: Sendable {
    @usableFromInline
    final class Storage: Sendable {
        @usableFromInline let facts: Facts

        @usableFromInline
        init(_ facts: Facts) { self.facts = facts }
    }

    @usableFromInline var storage: Storage

    @inlinable
    package init(_ facts: Facts) { storage = Storage(facts) }

    /// The value, to read many of its members; outside this module also to read one often, since a key path is slow there.
    @inlinable
    package var facts: Facts { storage.facts }

    @inlinable
    package subscript<Value>(dynamicMember member: KeyPath<Facts, Value>) -> Value { storage.facts[keyPath: member] }

    @inlinable
    package subscript<Value>(dynamicMember member: WritableKeyPath<Facts, Value>) -> Value {
        get { storage.facts[keyPath: member] }
        set {
            var facts = storage.facts
            facts[keyPath: member] = newValue
            storage = Storage(facts)
        }
    }
}

extension Shared: Equatable where Facts: Equatable {
    package static func == (one: Self, other: Self) -> Bool {
        one.storage === other.storage || one.storage.facts == other.storage.facts
    }
}

extension Shared: Hashable where Facts: Hashable {
    package func hash(into hasher: inout Hasher) { hasher.combine(storage.facts) }
}

extension Shared: Decodable where Facts: Decodable {
    package init(from decoder: any Decoder) throws { self.init(try Facts(from: decoder)) }
}

extension Shared: Encodable where Facts: Encodable {
    package func encode(to encoder: any Encoder) throws { try storage.facts.encode(to: encoder) }
}

/// Printed as the value is, by which secrets stay hidden.
extension Shared: CustomStringConvertible, CustomReflectable {
    package var description: String { "\(storage.facts)" }
    package var customMirror: Mirror { Mirror(reflecting: storage.facts) }
}
