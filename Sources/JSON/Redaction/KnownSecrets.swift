import OrderedCollections

/// Secrets that were seen, to be found again where nothing tells that they are some: `iscsiadm: hunter2 rejected`.
///
/// Not those of fewer than ``minimumLength`` bytes, and not UUIDs: as words and ids they stand for other things too.
struct KnownSecrets: Sendable {
    static let minimumLength = 6
    private static let capacity = 20_000

    /// By their first ``minimumLength`` bytes, then by their length: all tokens of keystone begin alike.
    private var secrets: [UInt64: [Int: Set<ArraySlice<UInt8>>]] = [:]
    /// Bits of the keys of ``secrets``, so that nearly every place of a text is passed over without a look there.
    private var filter = [UInt64](repeating: 0, count: 1024)
    private var order: [[UInt8]] = []
    /// How often something new was learned.
    private(set) var generation = 0

    /// Learns the texts in this value.
    mutating func learn(_ value: JSONValue) {
        switch value {
        case .string(let text): learn(Array(text.utf8))
        case .array(let elements): for element in elements { learn(element) }
        case .object(let members): for element in members.values { learn(element) }
        default: break
        }
    }

    private mutating func learn(_ secret: [UInt8]) {
        guard secret.count >= Self.minimumLength, secret.count != 36 || !secret[...].holdsUUID else { return }
        let key = Self.key(secret, at: 0)
        guard secrets[key]?[secret.count]?.contains(secret[...]) != true else { return }
        if order.count == Self.capacity { forgetOlderHalf() }
        order.append(secret)
        insert(secret, key)
        generation += 1
    }

    private mutating func insert(_ secret: [UInt8], _ key: UInt64) {
        secrets[key, default: [:]][secret.count, default: []].insert(secret[...])
        let bit = Self.bit(key)
        filter[bit >> 6] |= 1 << UInt64(bit & 63)
    }

    private mutating func forgetOlderHalf() {
        order.removeFirst(Self.capacity / 2)
        secrets = [:]
        filter = [UInt64](repeating: 0, count: filter.count)
        for secret in order { insert(secret, Self.key(secret, at: 0)) }
    }

    /// The text with each known secret replaced by `***`. A text without blanks is an identifier and stays, as a replay needs it.
    func masked(_ text: [UInt8]) -> [UInt8] {
        guard !secrets.isEmpty, text.contains(where: \.isBlank) else { return text }
        var found: [Range<Int>] = []
        var index = 0
        while index + Self.minimumLength <= text.count {
            guard let length = lengthOfSecret(in: text, at: index) else {
                index += 1
                continue
            }
            found.append(index..<index + length)
            index += length
        }
        return SecretMask.masked(text, found)
    }

    /// Of the longest one that stands there.
    private func lengthOfSecret(in text: [UInt8], at index: Int) -> Int? {
        let key = Self.key(text, at: index)
        let bit = Self.bit(key)
        guard filter[bit >> 6] & 1 << UInt64(bit & 63) != 0, let lengths = secrets[key] else { return nil }
        return lengths.filter { index + $0.key <= text.count && $0.value.contains(text[index..<index + $0.key]) }.keys.max()
    }

    private static func key(_ bytes: [UInt8], at index: Int) -> UInt64 {
        bytes[index..<index + minimumLength].reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// One of 65,536.
    private static func bit(_ key: UInt64) -> Int { Int((key &* 0x9e37_79b9_7f4a_7c15) >> 48) }
}
