import AMQP
import Foundation

extension TransportURL {
    private static let plainSchemes: Set<String> = ["rabbit", "kombu", "amqp"]
    private static let secureSchemes: Set<String> = ["rabbits", "amqps"]

    /// Parses a transport URL. Defaults: host `localhost`, port 5672 (5671 with a TLS scheme), virtual host `/`; user and
    /// password of the host before, or `guest`.
    ///
    /// - Throws: ``ParseError``, which never quotes credentials.
    package init(parsing text: String) throws(ParseError) {
        guard let schemeEnd = text.firstRange(of: "://") else {
            throw ParseError(message: "no scheme; it should begin with rabbit://")
        }
        let scheme = text[..<schemeEnd.lowerBound].lowercased()
        let isSecure = Self.secureSchemes.contains(scheme)
        guard isSecure || Self.plainSchemes.contains(scheme) else {
            throw ParseError(message: "the scheme is neither rabbit nor rabbits")
        }
        var rest = text[schemeEnd.upperBound...]
        var query: [String: String] = [:]
        if let mark = rest.firstIndex(of: "?") {
            query = try Self.parse(query: rest[rest.index(after: mark)...])
            rest = rest[..<mark]
        }
        let slash = rest.firstIndex(of: "/") ?? rest.endIndex
        // What comes before would be taken for a host, and shown, although it is part of a password with an unencoded "/".
        guard !rest[slash...].contains("@") else {
            throw ParseError(message: "there is an \"@\" behind the first \"/\" (is the password percent-encoded?)")
        }
        let path = try Self.decode(rest[slash...].dropFirst(), "virtual host")
        virtualHost = path.isEmpty ? "/" : path

        let files = try Self.tls(from: query)
        let isAsked = try query["ssl"].map { text throws(ParseError) in try Self.flag(text, "ssl") }
        var hosts: [Host] = []
        for part in rest[..<slash].split(separator: ",") {
            let port = isSecure ? 5671 : 5672
            hosts.append(try Self.parse(host: part, number: hosts.count + 1, defaultPort: port, before: hosts.last))
        }
        if hosts.isEmpty {
            hosts = [Host(name: "localhost", port: isSecure ? 5671 : 5672, username: "guest", password: "guest")]
        }
        self.hosts = hosts
        tls = isAsked ?? isSecure ? files : nil
        tlsFiles = files
        self.query = query
    }

    private static func parse(
        host text: Substring, number: Int, defaultPort: Int, before: Host?
    ) throws(ParseError) -> Host {
        var username = before?.username ?? "guest"
        var password = before?.password ?? "guest"
        var address = text
        if let at = text.lastIndex(of: "@") {
            address = text[text.index(after: at)...]
            let parts = text[..<at].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            username = try decode(parts[0], "user name of host \(number)")
            password = parts.count > 1 ? try decode(parts[1], "password of host \(number)") : ""
        }
        var name = address
        var port: Substring?
        if address.hasPrefix("[") {
            guard let end = address.firstIndex(of: "]") else { throw ParseError(message: "host \(number): \"[\" without \"]\"") }
            name = address[address.index(after: address.startIndex)..<end]
            let tail = address[address.index(after: end)...]
            guard tail.isEmpty || tail.hasPrefix(":") else {
                throw ParseError(message: "host \(number): expected a port or the end after \"]\"")
            }
            port = tail.isEmpty ? nil : tail.dropFirst()
        } else if let colon = address.lastIndex(of: ":"), address.firstIndex(of: ":") == colon {
            name = address[..<colon]
            port = address[address.index(after: colon)...]
        }
        guard !name.isEmpty else { throw ParseError(message: "host \(number) has no name") }
        guard let port else { return Host(name: String(name), port: defaultPort, username: username, password: password) }
        guard let value = Int(port), (1...65535).contains(value) else {
            // Not quoted: an unencoded "/" or ":" in a password puts part of the password here.
            throw ParseError(
                message: "host \(number): the port is not a number from 1 to 65535 (is the password percent-encoded?)")
        }
        return Host(name: String(name), port: value, username: username, password: password)
    }

    private static func parse(query text: Substring) throws(ParseError) -> [String: String] {
        var query: [String: String] = [:]
        for item in text.split(separator: "&") {
            let pair = item.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let key = try decode(pair[0], "query")
            let value =
                pair.count > 1 ? try decode(Substring(pair[1].replacing("+", with: " ")), "value of one of the query's keys") : ""
            query[key] = query[key].map { "\($0),\(value)" } ?? value
        }
        return query
    }

    private static func tls(from query: [String: String]) throws(ParseError) -> AMQPTLS {
        func file(_ key: String) -> String? { query[key].flatMap { $0.isEmpty ? nil : $0 } }
        var tls = AMQPTLS(caFile: file("ssl_ca_file"), certFile: file("ssl_cert_file"), keyFile: file("ssl_key_file"))
        if (tls.certFile == nil) != (tls.keyFile == nil) {
            throw ParseError(message: "ssl_cert_file and ssl_key_file must be given together")
        }
        tls.verifyPeer = tls.caFile != nil
        tls.verifyHostname = try verifiesHostname(query) && tls.verifyPeer
        return tls
    }

    /// Whether the broker's certificate must be for its host, wherever the CA file is configured.
    package var verifiesHostname: Bool { get throws(ParseError) { try Self.verifiesHostname(query) } }

    private static func verifiesHostname(_ query: [String: String]) throws(ParseError) -> Bool {
        let name = "ssl_enforce_hostname_verification"
        guard let text = query[name] else { return true }
        return try flag(text, name)
    }

    /// A boolean as oslo.config reads it.
    static func flag(_ text: String, _ name: String) throws(ParseError) -> Bool {
        switch text.lowercased() {
        case "1", "true", "yes", "on": return true
        case "0", "false", "no", "off": return false
        default: throw ParseError(message: "\(name) is neither true nor false")
        }
    }

    private static func decode(_ text: Substring, _ what: String) throws(ParseError) -> String {
        guard let decoded = String(text).removingPercentEncoding else {
            throw ParseError(message: "the \(what) is not percent-encoded UTF-8")
        }
        return decoded
    }
}
