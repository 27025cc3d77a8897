/// A value behind one reference: copying it copies a pointer. For values that are passed around much and change seldom.
///
/// A change creates a new value and does not affect other copies.
@dynamicMemberLookup
package struct Shared<Facts: Sendable>: Sendable {
    @usableFromInline
    final class Storage: Sendable {
        @usableFromInline let facts: Facts

        @usableFromInline
        init(_ facts: Facts) { self.facts = facts }
    }

    @usableFromInline var storage: Storage

    /// - Parameter facts: the value.
    @inlinable
    package init(_ facts: Facts) { storage = Storage(facts) }

    /// The value itself. Use it to read several members, or one in a hot path outside this module, where key paths are slow.
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

/// Prints as the value does, so secrets stay hidden.
extension Shared: CustomStringConvertible, CustomReflectable {
    package var description: String { "\(storage.facts)" }
    package var customMirror: Mirror { Mirror(reflecting: storage.facts) }
}
