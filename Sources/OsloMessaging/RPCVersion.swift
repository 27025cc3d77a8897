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
        let parts = Substring(text).utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false).map(Substring.init)
        let numbers = parts.compactMap { part in Int(part).flatMap { String($0) == part && $0 >= 0 ? $0 : nil } }
        guard (1...3).contains(parts.count), numbers.count == parts.count else { return nil }
        self.init(major: numbers[0], minor: numbers.count > 1 ? numbers[1] : 0)
    }

    /// Whether a server of this version can serve a client that asks for another: same major, minor not greater.
    ///
    /// Mirrors `version_is_compatible` of `oslo_messaging/_utils.py`.
    package func serves(_ requested: RPCVersion) -> Bool {
        requested.major == major && requested.minor <= minor
    }

    package var description: String { "\(major).\(minor)" }
}
