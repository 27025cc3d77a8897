/// A version of an RPC interface: `MAJOR.MINOR`; a third component is ignored.
package struct RPCVersion: Sendable, Hashable, CustomStringConvertible {
    /// Changes when clients must change.
    package let major: Int
    /// Changes with compatible additions.
    package let minor: Int
}

extension RPCVersion {
    /// Nil if the string is not a version.
    package init?(_ text: some StringProtocol) {
        var rest = Substring(text).utf8
        guard let major = Self.number(&rest), let minor = rest.isEmpty ? 0 : Self.part(&rest),
            rest.isEmpty || Self.part(&rest) != nil, rest.isEmpty
        else { return nil }
        self.init(major: major, minor: minor)
    }

    private static func part(_ rest: inout Substring.UTF8View) -> Int? {
        guard rest.popFirst() == UInt8(ascii: ".") else { return nil }
        return number(&rest)
    }

    /// At most nine digits without a leading zero.
    private static func number(_ rest: inout Substring.UTF8View) -> Int? {
        let digits = rest.prefix { (48...57).contains($0) }
        guard (1...9).contains(digits.count), digits.count == 1 || digits.first != UInt8(ascii: "0") else { return nil }
        rest = rest.dropFirst(digits.count)
        return digits.reduce(0) { $0 * 10 + Int($1 - 48) }
    }

    /// Whether a server of this version can serve a client that requires another: same major, minor not greater.
    ///
    /// Mirrors `version_is_compatible` of `oslo_messaging/_utils.py`.
    package func serves(_ requested: RPCVersion) -> Bool {
        requested.major == major && requested.minor <= minor
    }

    package var description: String { "\(major).\(minor)" }
}
