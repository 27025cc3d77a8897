/// One broker address, and the user to log in with.
package struct AMQPEndpoint: Sendable, Hashable, CustomStringConvertible {
    /// Host name or address, IPv6 without brackets.
    package var host: String
    /// TCP port: 5672 by default, usually 5671 for TLS.
    package var port: Int
    package var credentials: AMQPCredentials

    package init(host: String, port: Int = 5672, credentials: AMQPCredentials) {
        self.host = host
        self.port = port
        self.credentials = credentials
    }

    package var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

/// User name and password for SASL PLAIN; always prints as `***`.
package struct AMQPCredentials: Sendable, Hashable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    package var username: String
    package var password: String

    package init(username: String, password: String) {
        self.username = username
        self.password = password
    }

    package var description: String { "***" }
    package var debugDescription: String { "***" }
    package var customMirror: Mirror { Mirror(self, children: [], displayStyle: .struct) }
}

/// TLS settings, as librabbitmq's `amqp_ssl_socket_*` takes them; files are PEM.
package struct AMQPTLS: Sendable, Hashable {
    /// Trusted authorities; nil means the system's bundle.
    package var caFile: String?
    /// Client certificate chain; needs ``keyFile``.
    package var certFile: String?
    /// The private key of ``certFile``.
    package var keyFile: String?
    /// Whether the broker's certificate must be issued by a trusted authority.
    package var verifyPeer: Bool
    /// Whether it must be issued for the endpoint's host name or address.
    package var verifyHostname: Bool

    package init(
        caFile: String? = nil, certFile: String? = nil, keyFile: String? = nil, verifyPeer: Bool = true,
        verifyHostname: Bool = true
    ) {
        self.caFile = caFile
        self.certFile = certFile
        self.keyFile = keyFile
        self.verifyPeer = verifyPeer
        self.verifyHostname = verifyHostname
    }
}

/// Everything that a connection needs before it starts.
package struct AMQPConfiguration: Sendable {
    /// Tried in order; a failure moves on to the next at once, and back-off begins when all have failed.
    package var endpoints: [AMQPEndpoint]
    /// The virtual host's name, at most 255 bytes.
    package var virtualHost: String
    /// Nil means plain TCP.
    package var tls: AMQPTLS?
    /// Shown in the broker's list of connections.
    package var connectionName: String
    /// Heartbeat proposed to the broker (whole seconds, at least 1); a peer silent for twice that long is dead.
    package var heartbeat = Duration.seconds(60)
    /// Limit for the TCP connection, and again for the TLS and AMQP handshake.
    package var connectTimeout = Duration.seconds(10)
    /// Limit for one synchronous method (declare, consume, close).
    package var rpcTimeout = Duration.seconds(10)
    /// Limit for a publish to be confirmed, counted from the call; includes time blocked by the broker.
    package var publishTimeout = Duration.seconds(30)
    /// Upper bound of the first pause after all endpoints have failed; it doubles up to ``maxBackoff``.
    package var initialBackoff = Duration.milliseconds(500)
    /// Upper bound of any such pause.
    package var maxBackoff = Duration.seconds(30)
    /// Maximum body size in bytes; a larger delivery is rejected without requeue, or delivered as ``bodyTail`` describes.
    package var bodyLimit = 64 << 20
    /// How many trailing bytes of a refused body to deliver, with the reason in ``AMQPDelivery/refusal``; 0 rejects it instead.
    package var bodyTail = 0
    /// Maximum bytes of unsettled bodies, beyond which messages are requeued; nil leaves only the prefetch as a bound.
    package var deliveryBytes: Int?
    /// Maximum publishes in flight; one more throws ``AMQPError/Code/overflow``.
    package var publishLimit = 16384

    package init(
        endpoints: [AMQPEndpoint], virtualHost: String = "/", tls: AMQPTLS? = nil, connectionName: String = ""
    ) {
        self.endpoints = endpoints
        self.virtualHost = virtualHost
        self.tls = tls
        self.connectionName = connectionName
    }
}
