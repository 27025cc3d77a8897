import JSON
import SeededRandom

extension Mutator {
    /// The value with one change somewhere in it.
    mutating func changed(_ value: JSONValue) -> JSONValue {
        switch value {
        case .object(var members) where !members.isEmpty && !random.oneIn(5):
            let key = random.pick(members.keys)
            members[key] = members[key].map { changed($0) }
            return .object(members)
        case .array(var elements) where !elements.isEmpty && !random.oneIn(3):
            let index = random.below(elements.count)
            elements[index] = changed(elements[index])
            return .array(elements)
        default: return altered(value)
        }
    }

    private mutating func altered(_ value: JSONValue) -> JSONValue {
        switch random.below(12) {
        case 0: random.pick([.null, true, false, 0, "", [], [:]])
        case 1: random.pick(Oddities.numbers)
        case 2, 3: .string(random.pick(Oddities.texts))
        case 4: joined(value)
        case 5: otherType(value)
        case 6, 7: random.pick(corpus.parts)
        case 8: nested(value)
        case 9: huge(value)
        case 10: withMember(value)
        default: withoutMember(value)
        }
    }

    /// The string with another one before, behind or within it.
    private mutating func joined(_ value: JSONValue) -> JSONValue {
        guard case .string(let text) = value else { return .string(random.pick(Oddities.texts)) }
        let odd = random.pick(Oddities.texts)
        let middle = text.unicodeScalars.index(text.startIndex, offsetBy: random.below(text.unicodeScalars.count + 1))
        switch random.below(4) {
        case 0: return .string(odd + text)
        case 1: return .string(text + odd)
        case 2: return .string(text + text)
        default: return .string("\(String(text.unicodeScalars[..<middle]))\(odd)\(String(text.unicodeScalars[middle...]))")
        }
    }

    /// The same content as another type.
    private mutating func otherType(_ value: JSONValue) -> JSONValue {
        switch value {
        case .integer(let number): random.oneIn(2) ? .string("\(number)") : .real(Double(number))
        case .real(let number): .string("\(number)")
        case .bool(let flag): random.oneIn(2) ? .string("\(flag)") : .integer(flag ? 1 : 0)
        case .string(let text): random.oneIn(2) ? [.string(text)] : ["uuid": .string(text), "name": .string(text)]
        case .array(let elements): .object(JSONObject(elements.enumerated().map { ("\($0.offset)", $0.element) }))
        case .object(let members):
            random.oneIn(2) ? .array(Array(members.values)) : .string(JSONValue.object(members).serialized())
        case .null: random.pick([[], [:], "null", 0])
        }
    }

    /// The value within many arrays or objects, but no more than a recursive writer can bear.
    private mutating func nested(_ value: JSONValue) -> JSONValue {
        let key = random.pick(Oddities.keys)
        var nested = value
        for _ in 0..<min(random.pick(Oddities.depths), 210) { nested = random.oneIn(2) ? [nested] : .object([key: nested]) }
        return nested
    }

    /// More than anybody means to send, and seldom as much as a message may hold.
    private mutating func huge(_ value: JSONValue) -> JSONValue {
        let count = random.oneIn(200) ? 20_000 : random.oneIn(10) ? 2000 : 40
        switch random.below(4) {
        case 0: return .array(Array(repeating: value.isScalar ? value : .null, count: count))
        case 1: return .object(JSONObject((0..<count).map { ("\($0)", .integer(Int64($0))) }))
        case 2: return .string(String(repeating: random.pick(Oddities.texts), count: count))
        default: return .string(String(repeating: "\u{301}", count: count))
        }
    }

    private mutating func withMember(_ value: JSONValue) -> JSONValue {
        guard case .object(var members) = value else { return .object([random.pick(Oddities.keys): value]) }
        members[random.pick(Oddities.keys)] = random.oneIn(2) ? random.pick(corpus.parts) : .string(random.pick(Oddities.texts))
        return .object(members)
    }

    private mutating func withoutMember(_ value: JSONValue) -> JSONValue {
        guard case .object(var members) = value, !members.isEmpty else { return .null }
        let key = random.pick(members.keys)
        let removed = members.removeValue(forKey: key)
        if random.oneIn(2) { members[key + random.pick(Oddities.texts)] = removed }
        return .object(members)
    }
}
