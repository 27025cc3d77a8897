import OrderedCollections

/// Secrets that were seen, to be found again where nothing tells that they are some: `iscsiadm: hunter2 rejected`.
///
/// Only those that no word or id is: of ``minimumLength`` bytes or more, without a blank, with a digit or a capital within, no UUID.
struct KnownSecrets: Sendable {
    private static let minimumLength = 8
    private static let maximumLength = 4096
    private static let keyLength = 6
    private static let capacity = 20_000
    /// Secrets of more lengths that begin alike are not remembered: each length costs a look.
    private static let lengthsPerKey = 32

    /// By their first ``keyLength`` bytes, then by their length: all tokens of keystone begin alike.
    private var secrets: [UInt64: [Int: Set<ArraySlice<UInt8>>]] = [:]
    /// Bits of the keys of ``secrets``, so that nearly every place of a text is passed over without a look there.
    private var filter = [UInt64](repeating: 0, count: 1024)
    private var order: [[UInt8]] = []
    /// How often something new was learned.
    private(set) var generation = 0

    mutating func learn(_ secret: String) { learn(Array(secret.utf8)[...]) }

    mutating func learn(_ text: ArraySlice<UInt8>) {
        guard (Self.minimumLength...Self.maximumLength).contains(text.count), text.hasDigitOrInnerCapital, !text.holdsUUID,
            !text.contains(where: \.isBlank)
        else { return }
        let secret = Array(text)
        let key = Self.key(secret, at: 0)
        guard secrets[key]?[secret.count]?.contains(secret[...]) != true else { return }
        guard secrets[key].map({ $0.count < Self.lengthsPerKey || $0[secret.count] != nil }) ?? true else { return }
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

    /// The text with each known secret replaced by `***` that stands there as a word of its own.
    func masked(_ text: [UInt8]) -> [UInt8] {
        guard !secrets.isEmpty else { return text }
        var found: [Range<Int>] = []
        var index = 0
        while index + Self.keyLength <= text.count {
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
        if index > 0, text[index - 1].isNamePart { return nil }
        return lengths.filter { length, secrets in
            let end = index + length
            guard end <= text.count, secrets.contains(text[index..<end]) else { return false }
            return end == text.count || !text[end].isNamePart
        }.keys.max()
    }

    private static func key(_ bytes: [UInt8], at index: Int) -> UInt64 {
        bytes[index..<index + keyLength].reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// One of 65,536.
    private static func bit(_ key: UInt64) -> Int { Int((key &* 0x9e37_79b9_7f4a_7c15) >> 48) }
}
