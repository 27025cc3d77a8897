/// One broker address, and the user to log in as there.
package struct AMQPEndpoint: Sendable, Hashable, CustomStringConvertible {
    package var host: String
    package var port: Int
    /// Nil takes the configuration's.
    package var credentials: AMQPCredentials?

    package init(host: String, port: Int = 5672, credentials: AMQPCredentials? = nil) {
        self.host = host
        self.port = port
        self.credentials = credentials
    }

    package var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

/// User name and password for SASL PLAIN; prints as `***` whichever way it is printed.
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
package struct AMQPTLS: Sendable {
    /// Trusted authorities; nil takes the system's bundle.
    package var caFile: String?
    /// Client certificate chain and its key; both or neither.
    package var certFile: String?
    package var keyFile: String?
    package var verifyPeer: Bool
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

/// What a connection needs to know before it starts.
package struct AMQPConfiguration: Sendable {
    /// Tried in order; after a failure the next one is tried at once, and back-off begins when all have failed.
    package var endpoints: [AMQPEndpoint]
    package var credentials: AMQPCredentials
    package var virtualHost: String
    package var tls: AMQPTLS?
    /// Shown in the broker's list of connections.
    package var connectionName: String
    /// Heartbeat proposed to the broker (whole seconds, at least 1); a peer silent for twice that long is dead.
    package var heartbeat = Duration.seconds(60)
    /// Limit for the TCP connection, and again for the TLS and AMQP handshake.
    package var connectTimeout = Duration.seconds(10)
    /// Limit for one synchronous method (declare, consume, close).
    package var rpcTimeout = Duration.seconds(10)
    /// Limit for a publish to be confirmed, counted from the call, time blocked by the broker included.
    package var publishTimeout = Duration.seconds(30)
    package var initialBackoff = Duration.milliseconds(500)
    package var maxBackoff = Duration.seconds(30)
    /// Bytes; a delivery with a larger body is rejected without requeue, or delivered as ``bodyTail`` says.
    package var bodyLimit = 64 << 20
    /// Bytes of the end of a body that was refused, which is delivered with the reason in ``AMQPDelivery/refusal``; 0 rejects it.
    package var bodyTail = 0
    /// Bytes of bodies that may be unsettled, whatever the prefetch; nil leaves it to that. Messages beyond it are given back.
    package var deliveryBytes: Int?
    /// Publishes in flight; one more throws ``AMQPError/Code/overflow``.
    package var publishLimit = 16384

    package init(
        endpoints: [AMQPEndpoint], credentials: AMQPCredentials, virtualHost: String = "/", tls: AMQPTLS? = nil,
        connectionName: String = ""
    ) {
        self.endpoints = endpoints
        self.credentials = credentials
        self.virtualHost = virtualHost
        self.tls = tls
        self.connectionName = connectionName
    }
}
