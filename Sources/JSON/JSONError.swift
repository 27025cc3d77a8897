/// Why a document is not JSON that pivotd accepts.
///
/// The message never quotes the document: the text near the fault may be a password.
package struct JSONError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The kind of fault.
    package enum Code: Sendable, Hashable {
        /// Not JSON by RFC 8259.
        case invalidSyntax
        /// Bytes that are not UTF-8, or an escaped lone surrogate.
        case invalidUnicode
        /// A duplicate key in an object, if duplicates are rejected.
        case duplicateKey
        /// A number that fits neither a signed 64-bit integer nor a double.
        case numberOutOfRange
        /// Arrays and objects nested too deeply.
        case nestedTooDeeply
        /// The document is longer than the parser accepts, or memory ran out.
        case tooLarge
    }

    /// The kind of fault.
    package let code: Code
    /// The parser's message, without the document's text.
    package let message: String
    /// Line of the fault, from 1.
    package let line: Int
    /// Column of the fault in characters, from 1.
    package let column: Int
    /// Offset of the fault in bytes, from 0.
    package let position: Int

    package var description: String { "\(message) (line \(line), column \(column))" }
}
