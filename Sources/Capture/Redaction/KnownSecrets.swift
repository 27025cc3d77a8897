import JSON

/// Secrets seen before, to be recognised where nothing marks them as such: `iscsiadm: hunter2 rejected`.
///
/// Only those that do not look like words or ids: at least 8 bytes, no blank, a digit or an inner capital, not a UUID.
struct KnownSecrets: Sendable {
    private static let minimumLength = 8
    private static let capacity = 20_000
    /// Maximum number of lengths remembered for secrets with the same beginning; each costs a lookup.
    private static let lengthsPerBeginning = 32

    private struct Secret: Hashable {
        /// The first ``minimumLength`` bytes.
        let beginning: UInt64
        let length: Int
        let hash: UInt64
    }

    private var secrets: Set<Secret> = []
    private var lengths: [UInt64: Set<Int>] = [:]
    private var order: [Secret] = []

    /// Remembers a secret; returns whether it is new.
    mutating func learn(_ text: String) -> Bool {
        let bytes = Array(text.utf8)
        guard bytes.count >= Self.minimumLength, Self.isUnlikeWord(bytes), !bytes[...].holdsUUID else { return false }
        let hash = RollingHash(bytes)[0..<bytes.count]
        return insert(Secret(beginning: Self.beginning(bytes, 0), length: bytes.count, hash: hash))
    }

    private mutating func insert(_ secret: Secret) -> Bool {
        let alike = lengths[secret.beginning]?.count ?? 0
        guard alike < Self.lengthsPerBeginning || lengths[secret.beginning]?.contains(secret.length) == true,
            secrets.insert(secret).inserted
        else { return false }
        lengths[secret.beginning, default: []].insert(secret.length)
        order.append(secret)
        guard order.count > Self.capacity else { return true }
        let kept = order.suffix(Self.capacity / 2)
        self = KnownSecrets()
        for secret in kept { _ = insert(secret) }
        return true
    }

    private static func isUnlikeWord(_ bytes: [UInt8]) -> Bool {
        let hasInnerCapital = bytes.dropFirst().contains(where: \.isCapital) && bytes.contains(where: \.isSmall)
        return !bytes.contains(where: \.isBlank) && (hasInnerCapital || bytes.contains(where: \.isDigit))
    }

    private static func beginning(_ bytes: [UInt8], _ index: Int) -> UInt64 {
        bytes[index..<index + minimumLength].reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// The string with every known secret that is a whole word masked; nil if there is none.
    func masked(_ text: String) -> String? {
        guard !secrets.isEmpty, text.utf8.count >= Self.minimumLength else { return nil }
        let bytes = Array(text.utf8)
        var hashes: RollingHash?
        var found: [Range<Int>] = []
        var index = 0
        while index + Self.minimumLength <= bytes.count {
            let isWithinWord = index > 0 && bytes[index - 1].isNamePart
            let beginning = Self.beginning(bytes, index)
            guard !isWithinWord, let lengths = lengths[beginning] else {
                index += 1
                continue
            }
            let known = hashes ?? RollingHash(bytes)
            hashes = known
            let ends = lengths.map { index + $0 }.filter { end in
                guard end == bytes.count || end < bytes.count && !bytes[end].isNamePart else { return false }
                return secrets.contains(Secret(beginning: beginning, length: end - index, hash: known[index..<end]))
            }
            if let end = ends.max() { found.append(index..<end) }
            index = ends.max() ?? index + 1
        }
        return found.isEmpty ? nil : String(decoding: bytes.masking(found), as: UTF8.self)
    }
}

/// Hashes any part of a string in constant time, so that secrets with the same beginning cost no more than others.
private struct RollingHash {
    /// Random, so that nobody can choose secrets that collide.
    private static let base = UInt64.random(in: .min ... .max) | 1
    private var ofBeginnings: [UInt64] = [0]
    private var powers: [UInt64] = [1]

    init(_ bytes: [UInt8]) {
        ofBeginnings.reserveCapacity(bytes.count + 1)
        powers.reserveCapacity(bytes.count + 1)
        for (index, byte) in bytes.enumerated() {
            ofBeginnings.append(ofBeginnings[index] &* Self.base &+ UInt64(byte) &+ 1)
            powers.append(powers[index] &* Self.base)
        }
    }

    subscript(part: Range<Int>) -> UInt64 {
        ofBeginnings[part.upperBound] &- ofBeginnings[part.lowerBound] &* powers[part.count]
    }
}
