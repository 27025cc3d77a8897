import SeededRandom

extension Mutator {
    /// Damages the bytes, whatever they mean.
    mutating func damage(_ bytes: inout [UInt8]) {
        guard !bytes.isEmpty else { return bytes = random.pick(Oddities.notUTF8) }
        let place = random.below(bytes.count)
        switch random.below(13) {
        case 0: for _ in 0...random.below(8) { bytes[random.below(bytes.count)] ^= 1 << UInt8(random.below(8)) }
        case 1: bytes[place] = random.pick(Oddities.meaningful)
        case 2: bytes.removeLast(bytes.count - place)
        case 3: bytes.removeFirst(place)
        case 4: bytes.removeSubrange(range(in: bytes))
        case 5: bytes.insert(contentsOf: bytes[range(in: bytes)], at: place)
        case 6: bytes.insert(contentsOf: random.pick(Oddities.notUTF8), at: place)
        case 7: nest(&bytes)
        case 8: replaceNumber(&bytes, from: place)
        case 9: replaceValue(&bytes, from: place)
        case 10: splice(&bytes, at: place)
        case 11: insertMember(&bytes, from: place)
        default: bytes.insert(contentsOf: Array(random.pick(Oddities.tokens).utf8), at: place)
        }
    }

    private mutating func range(in bytes: [UInt8]) -> Range<Int> {
        let start = random.below(bytes.count)
        return start..<min(bytes.count, start + 1 + random.below(random.oneIn(4) ? bytes.count : 40))
    }

    /// Puts brackets around everything or before it; they are closed, or not.
    private mutating func nest(_ bytes: inout [UInt8]) {
        let depth = random.pick(random.oneIn(8) ? Oddities.greatDepths : Oddities.depths)
        let (open, close) = random.oneIn(2) ? ("[", "]") : ("{\"a\":", "}")
        let place = random.oneIn(2) ? 0 : random.below(bytes.count)
        if random.oneIn(2) { bytes += Array(String(repeating: close, count: depth).utf8) }
        bytes.insert(contentsOf: Array(String(repeating: open, count: depth).utf8), at: place)
    }

    /// Replaces the next number.
    private mutating func replaceNumber(_ bytes: inout [UInt8], from place: Int) {
        guard let start = bytes[place...].firstIndex(where: { (48...57).contains($0) }) else { return }
        let end = bytes[start...].firstIndex { !(48...57).contains($0) } ?? bytes.count
        bytes.replaceSubrange(start..<end, with: Array(random.pick(Oddities.literals).utf8))
    }

    /// Replaces what follows the next colon, up to a comma or a bracket.
    private mutating func replaceValue(_ bytes: inout [UInt8], from place: Int) {
        guard let colon = bytes[place...].firstIndex(of: UInt8(ascii: ":")) else { return }
        let start = colon + 1
        let end =
            bytes[start...].firstIndex { [UInt8(ascii: ","), UInt8(ascii: "}"), UInt8(ascii: "]")].contains($0) } ?? bytes.count
        let tokens = random.oneIn(2) ? Oddities.tokens : Oddities.literals
        bytes.replaceSubrange(start..<end, with: Array(random.pick(tokens).utf8))
    }

    /// Continues with the rest of another message.
    private mutating func splice(_ bytes: inout [UInt8], at place: Int) {
        let other = random.pick(corpus.bodies)
        guard !other.isEmpty else { return }
        bytes.replaceSubrange(place..., with: other[random.below(other.count)...])
    }

    /// Writes a member where an object begins, so that a key may occur twice.
    private mutating func insertMember(_ bytes: inout [UInt8], from place: Int) {
        guard let brace = bytes[place...].firstIndex(of: UInt8(ascii: "{")) else { return }
        // Within an envelope the quotes are escaped.
        let isEscaped = brace + 1 < bytes.count && bytes[brace + 1] == UInt8(ascii: "\\")
        let quote = isEscaped ? "\\\"" : "\""
        let member = "\(quote)\(random.pick(Oddities.keys))\(quote):\(random.pick(Oddities.literals + ["null", "{}", "[]"])),"
        bytes.insert(contentsOf: Array(member.utf8), at: brace + 1)
    }
}
