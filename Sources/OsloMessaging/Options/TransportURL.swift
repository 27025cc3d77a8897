package import AMQP

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

    /// In the URL's order.
    package let hosts: [Host]
    /// `/` if the URL names none.
    package let virtualHost: String
    /// The `ssl_*` options of the query; nil for plain TCP. As in oslo.messaging, the broker's certificate is verified only if
    /// `ssl_ca_file` is given.
    package let tls: AMQPTLS?
    /// The TLS settings that its query names, whether it asks for TLS or a configuration file does.
    package let tlsFiles: AMQPTLS
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
