/// Why a text is not JSON that pivotd accepts.
///
/// The message never quotes the text: what stands near the fault may be a password.
package struct JSONError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What kind of fault it is.
    package enum Code: Sendable, Hashable {
        /// Not JSON by RFC 8259.
        case invalidSyntax
        /// Bytes that are not UTF-8, or an escaped lone surrogate.
        case invalidUnicode
        /// The same key twice in an object; only where duplicates are asked to be rejected.
        case duplicateKey
        /// A number that fits neither a signed 64-bit integer nor a double.
        case numberOutOfRange
        /// Arrays and objects nested deeper than the parser goes.
        case nestedTooDeeply
        /// The text is longer than the parser reads, or memory ran out.
        case tooLarge
    }

    package let code: Code
    package let message: String
    /// Line of the fault, from 1.
    package let line: Int
    /// Column of the fault in characters, from 1.
    package let column: Int
    /// Offset of the fault in bytes, from 0.
    package let position: Int

    package var description: String { "\(message) (line \(line), column \(column))" }
}
