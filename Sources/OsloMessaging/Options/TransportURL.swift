/// OpenStack's transport URL: `rabbit://user:password@host:port[,user:password@host:port…]/virtual_host[?query]`.
///
/// Mirrors `TransportURL.parse` in `oslo_messaging/transport.py`; `rabbits` and `ssl=1` request TLS. Prints without passwords.
package struct TransportURL: Sendable, Hashable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// A broker's address and user.
    package struct Host: Sendable, Hashable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
        /// Name or address; IPv6 without brackets.
        package let name: String
        package let port: Int
        package let username: String
        package let password: String

        package var description: String { "\(username):***@\(name.contains(":") ? "[\(name)]" : name):\(port)" }
        package var debugDescription: String { description }
        package var customMirror: Mirror { Mirror(self, children: []) }
    }

    /// The `ssl_*` options of the query.
    package struct TLS: Sendable, Hashable {
        /// `ssl_ca_file`; nil verifies nothing.
        package var caFile: String?
        /// `ssl_cert_file`, PEM.
        package var certFile: String?
        /// `ssl_key_file`, PEM.
        package var keyFile: String?
        package var verifyHostname: Bool

        package init(caFile: String? = nil, certFile: String? = nil, keyFile: String? = nil, verifyHostname: Bool = true) {
            self.caFile = caFile
            self.certFile = certFile
            self.keyFile = keyFile
            self.verifyHostname = verifyHostname
        }
    }

    /// In the URL's order.
    package let hosts: [Host]
    /// `/` if the URL names none.
    package let virtualHost: String
    /// Nil for plain TCP.
    package let tls: TLS?
    /// The whole query, including options of oslo's rabbit driver.
    package let query: [String: String]

    package var description: String {
        "\(tls == nil ? "rabbit" : "rabbits")://\(hosts.map(\.description).joined(separator: ","))/\(virtualHost)"
    }
    package var debugDescription: String { description }
    package var customMirror: Mirror { Mirror(self, children: []) }

    /// What is wrong with a URL; never quotes its credentials.
    package struct ParseError: Error, Sendable, Hashable, CustomStringConvertible {
        package let message: String
        package var description: String { "transport URL: \(message)" }
    }
}
