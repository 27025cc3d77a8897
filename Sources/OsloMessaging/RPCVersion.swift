/// A version of an RPC interface: `MAJOR.MINOR`, a third part is ignored.
package struct RPCVersion: Sendable, Hashable, CustomStringConvertible {
    package let major: Int
    package let minor: Int

    package init(major: Int, minor: Int) {
        self.major = major
        self.minor = minor
    }

    /// Nil when the text is no version.
    package init?(_ text: some StringProtocol) {
        var numbers = (0, 0, 0)
        var part = 0
        var digits = 0
        for byte in text.utf8 {
            if byte == UInt8(ascii: "."), digits > 0, part < 2 {
                part += 1
                digits = 0
                continue
            }
            // Up to nine digits, none of them a leading zero.
            guard (48...57).contains(byte), digits < 9, digits == 0 || numbers.2 > 0 else { return nil }
            numbers.2 = (digits == 0 ? 0 : numbers.2 * 10) + Int(byte - 48)
            digits += 1
            if part == 0 { numbers.0 = numbers.2 } else if part == 1 { numbers.1 = numbers.2 }
        }
        guard digits > 0 else { return nil }
        self.init(major: numbers.0, minor: numbers.1)
    }

    /// Whether a server of this version can serve a client that asks for another: same major, minor not greater.
    ///
    /// Mirrors `version_is_compatible` of `oslo_messaging/_utils.py`.
    package func serves(_ requested: RPCVersion) -> Bool {
        requested.major == major && requested.minor <= minor
    }

    package var description: String { "\(major).\(minor)" }
}
