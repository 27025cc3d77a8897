extension JSONValue {
    /// The value as a JSON string.
    ///
    /// Reals are written with the fewest digits that read back as the same double. NaN and the infinities, which JSON lacks and
    /// the parser never produces, are written as `null`.
    ///
    /// - Parameters:
    ///   - sortedKeys: orders members by key (by Unicode scalar) instead of by insertion.
    ///   - indent: spaces per level; 0 for one line without blanks.
    package func serialized(sortedKeys: Bool = false, indent: Int = 0) -> String {
        String(decoding: serializedBytes(sortedKeys: sortedKeys, indent: indent), as: UTF8.self)
    }

    /// The value as UTF-8 JSON; see ``serialized(sortedKeys:indent:)``.
    package func serializedBytes(sortedKeys: Bool = false, indent: Int = 0) -> [UInt8] {
        var writer = JSONWriter(sortedKeys: sortedKeys, indent: indent)
        writer.write(self)
        return writer.bytes
    }
}

extension [UInt8] {
    /// Reserves room for this many more, growing by doubling like `append`.
    fileprivate mutating func reserveRoom(_ more: Int) {
        if capacity - count < more { reserveCapacity(Swift.max(count + more, 2 * capacity)) }
    }
}

/// Appends JSON to a buffer.
private struct JSONWriter {
    private(set) var bytes: [UInt8] = []
    private let sortedKeys: Bool
    private let indent: Int
    private var level = 0

    init(sortedKeys: Bool, indent: Int) {
        self.sortedKeys = sortedKeys
        self.indent = indent
        bytes.reserveCapacity(960)
    }

    mutating func write(_ value: JSONValue) {
        switch value {
        case .null: bytes.append(contentsOf: "null".utf8)
        case .bool(let value): bytes.append(contentsOf: (value ? "true" : "false").utf8)
        case .integer(let value): bytes.append(contentsOf: String(value).utf8)
        case .real(let value): bytes.append(contentsOf: (value.isFinite ? value.description : "null").utf8)
        case .string(let value): write(text: value)
        case .array(let elements):
            open(UInt8(ascii: "["))
            for (index, element) in elements.enumerated() {
                separate(first: index == 0)
                write(element)
            }
            close(UInt8(ascii: "]"), empty: elements.isEmpty)
        case .object(let members): write(members: members)
        }
    }

    private mutating func write(members: JSONObject) {
        open(UInt8(ascii: "{"))
        if sortedKeys {
            let ordered = members.sorted { $0.key.unicodeScalars.lexicographicallyPrecedes($1.key.unicodeScalars) }
            for (index, member) in ordered.enumerated() { write(key: member.key, member.value, first: index == 0) }
        } else {
            var first = true
            for (key, value) in members {
                write(key: key, value, first: first)
                first = false
            }
        }
        close(UInt8(ascii: "}"), empty: members.isEmpty)
    }

    private mutating func write(key: String, _ value: JSONValue, first: Bool) {
        separate(first: first)
        write(text: key)
        bytes.append(UInt8(ascii: ":"))
        if indent > 0 { bytes.append(UInt8(ascii: " ")) }
        write(value)
    }

    private mutating func open(_ bracket: UInt8) {
        bytes.append(bracket)
        level += 1
    }

    private mutating func close(_ bracket: UInt8, empty: Bool) {
        level -= 1
        if !empty { breakLine() }
        bytes.append(bracket)
    }

    private mutating func separate(first: Bool) {
        if !first { bytes.append(UInt8(ascii: ",")) }
        breakLine()
    }

    private mutating func breakLine() {
        guard indent > 0 else { return }
        bytes.append(UInt8(ascii: "\n"))
        bytes.append(contentsOf: repeatElement(UInt8(ascii: " "), count: level * indent))
    }

    private mutating func write(text: String) {
        bytes.append(UInt8(ascii: "\""))
        if unsafe text.utf8.withContiguousStorageIfAvailable({ unsafe escape($0) }) == nil {
            var text = text
            text.withUTF8 { unsafe escape($0) }
        }
        bytes.append(UInt8(ascii: "\""))
    }

    /// Appends runs without special bytes at once.
    private mutating func escape(_ text: UnsafeBufferPointer<UInt8>) {
        // Room for one escape per eight bytes, as in JSON within JSON.
        bytes.reserveRoom(text.count + text.count / 8)
        var start = 0
        while true {
            let index = unsafe EscapeScan.firstSpecial(in: text, from: start)
            guard index < text.count else { break }
            let byte = unsafe text[index]
            unsafe bytes.append(contentsOf: UnsafeBufferPointer(rebasing: text[start..<index]))
            start = index + 1
            bytes.append(UInt8(ascii: "\\"))
            switch byte {
            case UInt8(ascii: "\n"): bytes.append(UInt8(ascii: "n"))
            case UInt8(ascii: "\r"): bytes.append(UInt8(ascii: "r"))
            case UInt8(ascii: "\t"): bytes.append(UInt8(ascii: "t"))
            case 0x08: bytes.append(UInt8(ascii: "b"))
            case 0x0C: bytes.append(UInt8(ascii: "f"))
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): bytes.append(byte)
            default:
                let digits = Array("0123456789abcdef".utf8)
                bytes.append(contentsOf: [
                    UInt8(ascii: "u"), UInt8(ascii: "0"), UInt8(ascii: "0"), digits[Int(byte >> 4)], digits[Int(byte & 15)],
                ])
            }
        }
        unsafe bytes.append(contentsOf: UnsafeBufferPointer(rebasing: text[start...]))
    }
}

/// Finds the bytes that JSON must escape, eight at a time.
private enum EscapeScan {
    private static let ones: UInt64 = 0x0101_0101_0101_0101
    private static let highBits = ones << 7

    /// The index of the first quote, backslash or control character, or the end.
    static func firstSpecial(in text: UnsafeBufferPointer<UInt8>, from start: Int) -> Int {
        let raw = UnsafeRawBufferPointer(text)
        var index = start
        while index + 8 <= text.count {
            let word = unsafe UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: index, as: UInt64.self))
            let quotes = word ^ (ones &* UInt64(UInt8(ascii: "\"")))
            let backslashes = word ^ (ones &* UInt64(UInt8(ascii: "\\")))
            // A borrow only affects higher bytes, so the lowest bit is right.
            let found = below(word, 0x20) | below(quotes, 1) | below(backslashes, 1)
            if found != 0 { return index + found.trailingZeroBitCount / 8 }
            index += 8
        }
        while index < text.count, unsafe !isSpecial(text[index]) { index += 1 }
        return index
    }

    /// The high bit of each byte that is less than `limit`, which is at most 128.
    private static func below(_ word: UInt64, _ limit: UInt64) -> UInt64 { (word &- ones &* limit) & ~word & highBits }

    private static func isSpecial(_ byte: UInt8) -> Bool {
        byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\")
    }
}
