import JSON
import OsloMessaging
import SeededRandom

/// Makes one input from a seed: a message of the corpus, changed in its values, its envelope and its bytes.
struct Mutator {
    var random: SplitMix64
    let corpus: Corpus

    init(seed: UInt64, corpus: Corpus) {
        random = SplitMix64(seed: seed)
        self.corpus = corpus
    }

    /// A delivery's body.
    mutating func body() -> [UInt8] {
        let kind = random.below(10)
        var body = kind == 0 ? random.pick(corpus.bodies) : enveloped(request(changes: kind == 1 ? 0 : 1 + random.below(3)))
        // Most inputs stay JSON, since most of the decoder lies behind the parser.
        if kind < 2 || random.oneIn(6) {
            for _ in 0...random.below(3) { damage(&body) }
        }
        return body
    }

    /// A request's content with this many changed values.
    private mutating func request(changes: Int) -> JSONObject {
        var inner = random.pick(corpus.requests)
        for _ in 0..<changes {
            if !random.oneIn(4), let args = inner["args"] {
                inner["args"] = changed(args)
            } else if case .object(let members) = changed(.object(inner)) {
                inner = members
            }
        }
        return inner
    }

    /// The content in an envelope, mostly the right one.
    private mutating func enveloped(_ inner: JSONObject) -> [UInt8] {
        guard random.oneIn(8) else { return MessageEnvelope.wrap(inner) }
        let text = JSONValue.object(inner).serialized()
        let envelope: JSONValue =
            switch random.below(7) {
            case 0: .object(inner)
            case 1: ["oslo.version": .string(random.pick(Oddities.versions)), "oslo.message": .string(text)]
            case 2: ["oslo.version": random.pick(Oddities.numbers), "oslo.message": .string(text)]
            case 3: ["oslo.version": "2.0", "oslo.message": .object(inner)]
            case 4:
                ["oslo.version": "2.0", "oslo.message": .string(String(decoding: MessageEnvelope.wrap(inner), as: UTF8.self))]
            case 5: ["oslo.message": .string(text), "oslo.version": "2.0", "oslo.more": .object(inner)]
            default: .array([.object(inner)])
            }
        return envelope.serializedBytes(sortedKeys: random.oneIn(2), indent: random.oneIn(2) ? 2 : 0)
    }

    /// The bytes of a capture file.
    mutating func captureFile() -> [UInt8] {
        let lines = (0...random.below(6)).map { _ in random.pick(corpus.lines) }
        var bytes = Array(lines.joined(separator: random.oneIn(8) ? "\r\n" : "\n").utf8)
        for _ in 0..<random.below(5) { damage(&bytes) }
        return bytes
    }
}
