/// XML under construction, as bytes.
struct XMLText {
    private var bytes: [UInt8] = []

    init() { bytes.reserveCapacity(1000) }

    var text: String { String(decoding: bytes, as: UTF8.self) }

    /// Appends what is XML already.
    mutating func append(_ text: String) { bytes.append(contentsOf: text.utf8) }

    /// Sorted by name.
    mutating func append(attributes: [String: String]) {
        if attributes.count > 1 {
            for (key, value) in attributes.sorted(by: { $0.key < $1.key }) { append(attribute: key, value) }
        } else if let (key, value) = attributes.first {
            append(attribute: key, value)
        }
    }

    private mutating func append(attribute: String, _ value: String) {
        append(" ")
        append(attribute)
        append("=\"")
        append(escaped: value, inAttribute: true)
        append("\"")
    }

    /// Line breaks and tabs stay as they are outside attributes.
    mutating func append(escaped text: String, inAttribute: Bool) {
        guard text.utf8.contains(where: Self.isSpecial) else { return append(text) }
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "&"): append("&amp;")
            case UInt8(ascii: "<"): append("&lt;")
            case UInt8(ascii: ">"): append("&gt;")
            case UInt8(ascii: "\""): append("&quot;")
            case UInt8(ascii: "\n") where !inAttribute, UInt8(ascii: "\t") where !inAttribute: bytes.append(byte)
            case 0..<0x20: append("&#\(byte);")
            default: bytes.append(byte)
            }
        }
    }

    private static func isSpecial(_ byte: UInt8) -> Bool {
        switch byte {
        case 0..<0x20, UInt8(ascii: "&"), UInt8(ascii: "<"), UInt8(ascii: ">"), UInt8(ascii: "\""): true
        default: false
        }
    }
}
