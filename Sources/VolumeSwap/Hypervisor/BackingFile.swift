/// The file below a copy-on-write image, as the image's own header names it.
package struct BackingFile: Sendable, Hashable {
    /// A path, or something that only QEMU understands: `json:{…}`, `nbd://…`.
    package var name: String
    /// QEMU's name of its format; nil if the header does not say.
    package var format: String?

    package init(name: String, format: String? = nil) {
        self.name = name
        self.format = format
    }

    /// The path, as QEMU completes a relative name: from the image's directory, with links left as they are.
    ///
    /// - Parameter image: the path of the image, as its user names it.
    /// - Returns: nil if the name is not a path.
    func path(from image: String) -> String? {
        let slash = UInt8(ascii: "/")
        // Bytes, since Swift may take a slash and what follows it for one character.
        guard let end = name.utf8.firstIndex(where: { $0 == slash || $0 == UInt8(ascii: ":") }), name.utf8[end] != slash else {
            guard name.utf8.first != slash, let directory = image.utf8.lastIndex(of: slash) else { return name }
            return String(image[...directory]) + name
        }
        guard name.utf8.starts(with: "file:/".utf8) else { return nil }
        return String(name[name.utf8.index(after: end)...])
    }
}

/// The result of reading an image's header.
package enum BackingAnswer: Sendable, Hashable {
    /// The image has a backing file.
    case found(BackingFile)
    /// There is no image, or nothing below it.
    case nothing
    /// The image cannot be read; the reason is for an operator.
    case failed(String)
    /// No answer within ``PathOwner/another``'s patience, or an earlier look still hangs.
    case noAnswer
}
