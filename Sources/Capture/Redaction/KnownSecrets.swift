import JSON

/// Secrets that were seen, to be found again where nothing tells that they are some: `iscsiadm: hunter2 rejected`.
///
/// Only those that no word or id is: of 8 bytes or more, without a blank, with a digit or a capital within, no UUID.
struct KnownSecrets: Sendable {
    private static let lengths = 8...1024
    private static let keyLength = 6
    private static let capacity = 20_000
    /// Secrets of more lengths that begin alike are not remembered: each length costs a look.
    private static let lengthsPerKey = 16

    /// By their first ``keyLength`` bytes, then by their length.
    private var secrets: [ArraySlice<UInt8>: [Int: Set<ArraySlice<UInt8>>]] = [:]
    private var order: [ArraySlice<UInt8>] = []

    /// Returns whether it is new.
    mutating func learn(_ secret: String) -> Bool {
        let bytes = Array(secret.utf8)
        guard Self.lengths.contains(bytes.count), Self.isUnlikeWord(bytes), !bytes[...].holdsUUID else { return false }
        return insert(bytes[...])
    }

    private mutating func insert(_ secret: ArraySlice<UInt8>) -> Bool {
        guard isNew(secret) else { return false }
        if order.count == Self.capacity {
            let kept = order.suffix(Self.capacity / 2)
            self = KnownSecrets()
            for secret in kept { _ = insert(secret) }
        }
        order.append(secret)
        secrets[secret.prefix(Self.keyLength), default: [:]][secret.count, default: []].insert(secret)
        return true
    }

    private func isNew(_ secret: ArraySlice<UInt8>) -> Bool {
        guard let alike = secrets[secret.prefix(Self.keyLength)] else { return true }
        return alike[secret.count].map { !$0.contains(secret) } ?? (alike.count < Self.lengthsPerKey)
    }

    private static func isUnlikeWord(_ bytes: [UInt8]) -> Bool {
        let hasInnerCapital = bytes.dropFirst().contains(where: \.isCapital) && bytes.contains(where: \.isSmall)
        return !bytes.contains(where: \.isBlank) && (hasInnerCapital || bytes.contains(where: \.isDigit))
    }

    /// The text with each known secret masked that stands there as a word of its own; nil when it has none.
    func masked(_ text: String) -> String? {
        guard !secrets.isEmpty else { return nil }
        let bytes = Array(text.utf8)
        var found: [Range<Int>] = []
        var index = 0
        while index + Self.keyLength <= bytes.count {
            let isWithinWord = index > 0 && bytes[index - 1].isNamePart
            let length = isWithinWord ? nil : lengthOfSecret(bytes[index...])
            if let length { found.append(index..<index + length) }
            index += length ?? 1
        }
        return found.isEmpty ? nil : String(decoding: bytes.masking(found), as: UTF8.self)
    }

    /// Of the longest one that stands here.
    private func lengthOfSecret(_ text: ArraySlice<UInt8>) -> Int? {
        secrets[text.prefix(Self.keyLength)]?.filter { length, secrets in
            let next = text.dropFirst(length).first
            return next?.isNamePart != true && secrets.contains(text.prefix(length))
        }.keys.max()
    }
}
