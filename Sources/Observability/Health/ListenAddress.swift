/// Where a server listens: `HOST:PORT` with an IPv4 address, an IPv6 address in brackets or `localhost`.
package struct ListenAddress: Sendable, Equatable, CustomStringConvertible {
    /// The address without brackets. Names other than `localhost` are not resolved.
    package let host: String
    /// The TCP port; 0 lets the kernel choose.
    package let port: UInt16
    /// Whether `host` is an IPv6 address.
    package let isIPv6: Bool

    package var description: String { isIPv6 ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

extension ListenAddress {
    /// - Returns: nil if the string is not `ADDRESS:PORT`.
    package init?(_ text: String) {
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else { return nil }
        var host = String(text[..<colon])
        let isIPv6 = host.hasPrefix("[") && host.hasSuffix("]")
        if isIPv6 {
            host = String(host.dropFirst().dropLast())
            guard Self.isIPv6(host) else { return nil }
        } else {
            if host == "localhost" { host = "127.0.0.1" }
            guard Self.isIPv4(host) else { return nil }
        }
        self.host = host
        self.port = port
        self.isIPv6 = isIPv6
    }

    private static func isIPv4(_ host: String) -> Bool {
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts.allSatisfy { $0.utf8.allSatisfy(isDigit) && UInt8($0) != nil }
    }

    /// Only checks alphabet and separators; the kernel decides on the rest.
    private static func isIPv6(_ host: String) -> Bool {
        host.contains(":") && host.allSatisfy { $0.isHexDigit || $0 == ":" || $0 == "." }
    }

    private static func isDigit(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
    }
}
