package import JSON

/// One argument of a call, or a member of one, under the name that errors give it.
package struct Argument: Sendable {
    package let value: JSONValue
    private let parent: String
    private let key: String

    /// - Parameter parent: what the name begins with: `options.`.
    /// - Returns: nil for an argument that is absent or null.
    package init?(_ members: JSONObject, _ key: String, in parent: String = "") {
        guard let value = members[key], !value.isNull else { return nil }
        self.init(value: value, key, in: parent)
    }

    package init(value: JSONValue, _ key: String, in parent: String = "") {
        self.value = value
        self.key = key
        self.parent = parent
    }

    package var name: String { parent + key }

    /// A failure that names the argument.
    package func invalid(_ reason: String) -> SwapFailure { .invalidInput("\(name): \(reason)") }

    /// - Parameter limit: characters, as JSON Schema counts them: code points.
    package func string(limit: Int? = nil) throws(SwapFailure) -> String {
        guard let text = value.stringValue else { throw invalid("must be a string") }
        if let limit { try Self.checkLength(text, name, limit: limit) }
        return text
    }

    /// Also a real without a fraction, which JSON Schema counts as an integer.
    package func integer(_ range: ClosedRange<Int64>) throws(SwapFailure) -> Int64 {
        guard let number = value.wholeValue else { throw invalid("must be an integer") }
        guard range.contains(number) else {
            throw invalid("\(number) is out of range, \(range.lowerBound) to \(range.upperBound) is allowed")
        }
        return number
    }

    /// At most a year.
    package func seconds() throws(SwapFailure) -> Double {
        guard let number = value.doubleValue, number.isFinite else { throw invalid("must be a number of seconds") }
        guard (0...31_536_000).contains(number) else {
            throw invalid("\(number) is out of range, 0 to 31536000 seconds are allowed")
        }
        return number
    }

    package func bool() throws(SwapFailure) -> Bool {
        guard let flag = value.boolValue else { throw invalid("must be true or false") }
        return flag
    }

    static func checkLength(_ text: String, _ name: @autoclosure () -> String, limit: Int) throws(SwapFailure) {
        guard text.utf8.count <= limit || text.unicodeScalars.count <= limit else {
            throw .invalidInput("\(name()): is longer than \(limit) characters")
        }
    }

    /// Refuses control characters, and what XML cannot hold.
    static func checkText(_ text: String, _ name: @autoclosure () -> String, limit: Int = 4096) throws(SwapFailure) {
        try checkLength(text, name(), limit: limit)
        let isPrintableASCII = text.utf8.allSatisfy { (0x20..<0x7f).contains($0) }
        let isPlain =
            isPrintableASCII
            || text.unicodeScalars.allSatisfy {
                $0.value >= 0x20 && $0.value != 0x7f && $0.value != 0xfffe && $0.value != 0xffff
            }
        guard isPlain else { throw .invalidInput("\(name()): holds a control character") }
    }
}
