/// Text that may have been escaped on its way: `%3D`, `\x3d`, `\u003d`, `\n`, `&quot;` stand for one byte each.
struct EscapedText {
    let bytes: [UInt8]

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// The byte that stands at this offset, and how many it takes up; what is no escape stands for itself.
    func unit(at index: Int) -> (byte: UInt8, length: Int) {
        switch bytes[index] {
        case .percent: hexadecimal(index + 1, digits: 2).map { ($0, 3) } ?? (.percent, 1)
        case .backslash: backslashed(index) ?? (.backslash, 1)
        case .ampersand: entity(index) ?? (.ampersand, 1)
        default: (bytes[index], 1)
        }
    }

    /// Behind all units from this offset on whose bytes are wanted.
    func skip(from index: Int, _ isSkipped: (_ byte: UInt8, _ isEscaped: Bool) -> Bool) -> Int {
        var index = index
        while index < bytes.count {
            let unit = unit(at: index)
            guard isSkipped(unit.byte, unit.length > 1) else { break }
            index += unit.length
        }
        return index
    }

    private func backslashed(_ index: Int) -> (UInt8, Int)? {
        guard index + 1 < bytes.count else { return nil }
        return switch bytes[index + 1] {
        case UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"): (.space, 2)
        case UInt8(ascii: "x"): hexadecimal(index + 2, digits: 2).map { ($0, 4) }
        case UInt8(ascii: "u"): hexadecimal(index + 2, digits: 4).map { ($0, 6) }
        default: nil
        }
    }

    private func entity(_ index: Int) -> (UInt8, Int)? {
        let entities: [(String, UInt8)] = [
            ("&quot;", .quote), ("&apos;", .apostrophe), ("&#39;", .apostrophe), ("&#34;", .quote), ("&lt;", .less),
            ("&gt;", .greater),
        ]
        return entities.first { bytes[index...].starts(with: $0.0.utf8) }.map { ($0.1, $0.0.utf8.count) }
    }

    /// One byte in hexadecimal digits.
    private func hexadecimal(_ start: Int, digits: Int) -> UInt8? {
        let text = bytes[min(start, bytes.count)...].prefix(digits)
        guard text.count == digits, text.allSatisfy(\.isHexadecimal) else { return nil }
        return Int(String(decoding: text, as: UTF8.self), radix: 16).flatMap { UInt8(exactly: $0) }
    }
}
