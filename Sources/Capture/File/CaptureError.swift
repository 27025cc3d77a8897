/// Why a capture file or a capture cannot be used.
package struct CaptureError: Error, Sendable, Hashable, CustomStringConvertible {
    package enum Code: Sendable, Hashable {
        /// The file cannot be opened, read or written.
        case file
        /// The compressed data is cut off or damaged, or there is no memory to compress with.
        case compression
        /// Whoever read what is written has ended.
        case readerGone
        /// The text of an option cannot be read.
        case usage
        /// The transport failed.
        case transport
    }

    package let code: Code
    /// One line for an operator, with the file's name.
    package let description: String

    package init(_ code: Code, _ description: String) {
        self.code = code
        self.description = description
    }
}
