/// Why a capture file or a capture cannot be used.
package struct CaptureError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What failed.
    package enum Code: Sendable, Hashable {
        /// The file cannot be opened, read or written.
        case file
        /// The compressed data is truncated or damaged, or memory for compression is short.
        case compression
        /// The reader of the output has gone.
        case readerGone
        /// An option's value cannot be parsed.
        case usage
        /// The transport failed.
        case transport
    }

    /// What failed.
    package let code: Code
    /// One line for an operator, with the file's name.
    package let description: String

    package init(_ code: Code, _ description: String) {
        self.code = code
        self.description = description
    }
}
