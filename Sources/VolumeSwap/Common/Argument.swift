package import JSON

/// One argument of a call, or a member of one, with its name for errors.
package struct Argument: Sendable {
    package let value: JSONValue
    private let parent: String
    private let key: String

    /// - Parameter parent: the prefix of the name in errors, such as `options.`.
    /// - Returns: nil for an argument that is absent or null.
    package init?(_ members: JSONObject, _ key: String, in parent: String = "") {
        guard let value = members[key], !value.isNull else { return nil }
        self.init(value: value, key, in: parent)
    }

    /// An argument with this value, even if it is null.
    package init(value: JSONValue, _ key: String, in parent: String = "") {
        self.value = value
        self.key = key
        self.parent = parent
    }

    /// The full name in errors, such as `options.timeout_s`.
    package var name: String { parent + key }

    /// A failure of kind `invalidInput` that names the argument.
    package func invalid(_ reason: String) -> SwapFailure { .invalidInput("\(name): \(reason)") }

    /// The string. It has no control characters: libvirt and SQLite would take one with a NUL for the part before it.
    ///
    /// - Parameter limit: maximum length in code points, as JSON Schema counts.
    /// - Throws: ``SwapFailure`` of kind `invalidInput` if it is not a string, too long, or has control characters.
    package func string(limit: Int = .max) throws(SwapFailure) -> String {
        guard let text = value.stringValue else { throw invalid("must be a string") }
        try Self.checkText(text, name, limit: limit)
        return text
    }

    /// The integer; a real without a fraction counts as one, as in JSON Schema.
    ///
    /// - Throws: ``SwapFailure`` of kind `invalidInput` if it is not an integer, or out of range.
    package func integer(_ range: ClosedRange<Int64>) throws(SwapFailure) -> Int64 {
        guard let number = value.wholeValue else { throw invalid("must be an integer") }
        guard range.contains(number) else {
            throw invalid("\(number) is out of range, \(range.lowerBound) to \(range.upperBound) is allowed")
        }
        return number
    }

    /// A number of seconds, at most a year.
    ///
    /// - Throws: ``SwapFailure`` of kind `invalidInput` if it is not a number, or out of range.
    package func seconds() throws(SwapFailure) -> Double {
        guard let number = value.doubleValue, number.isFinite else { throw invalid("must be a number of seconds") }
        guard (0...31_536_000).contains(number) else {
            throw invalid("\(number) is out of range, 0 to 31536000 seconds are allowed")
        }
        return number
    }

    /// The boolean.
    ///
    /// - Throws: ``SwapFailure`` of kind `invalidInput` if it is not true or false.
    package func bool() throws(SwapFailure) -> Bool {
        guard let flag = value.boolValue else { throw invalid("must be true or false") }
        return flag
    }

    static func checkLength(_ text: String, _ name: @autoclosure () -> String, limit: Int) throws(SwapFailure) {
        guard text.utf8.count <= limit || text.unicodeScalars.count <= limit else {
            throw .invalidInput("\(name()): longer than \(limit) characters")
        }
    }

    /// Refuses control characters, and characters that XML cannot hold.
    static func checkText(_ text: String, _ name: @autoclosure () -> String, limit: Int = 4096) throws(SwapFailure) {
        try checkLength(text, name(), limit: limit)
        let isPrintableASCII = text.utf8.allSatisfy { (0x20..<0x7f).contains($0) }
        let isPlain =
            isPrintableASCII
            || text.unicodeScalars.allSatisfy {
                $0.value >= 0x20 && $0.value != 0x7f && $0.value != 0xfffe && $0.value != 0xffff
            }
        guard isPlain else { throw .invalidInput("\(name()): contains a control character") }
    }
}
