package import AMQP

extension TransportURL {
    /// The connection configuration that this URL describes.
    ///
    /// As in oslo.messaging, hosts are tried in random order, each with its own user, so that clients spread over a cluster; and
    /// the broker's certificate is verified only if `ssl_ca_file` is given.
    ///
    /// - Parameter connectionName: Shown in the broker's list of connections.
    /// - Throws: ``ParseError`` if the URL names no host.
    package func amqpConfiguration(connectionName: String) throws(ParseError) -> AMQPConfiguration {
        var generator = SystemRandomNumberGenerator()
        return try amqpConfiguration(connectionName: connectionName, using: &generator)
    }

    func amqpConfiguration(
        connectionName: String, using generator: inout some RandomNumberGenerator
    ) throws(ParseError) -> AMQPConfiguration {
        guard let first = hosts.first else { throw ParseError(message: "no host") }
        return AMQPConfiguration(
            endpoints: hosts.map { AMQPEndpoint(host: $0.name, port: $0.port, credentials: $0.credentials) }
                .shuffled(using: &generator),
            credentials: first.credentials, virtualHost: virtualHost,
            tls: tls.map {
                AMQPTLS(
                    caFile: $0.caFile, certFile: $0.certFile, keyFile: $0.keyFile, verifyPeer: $0.caFile != nil,
                    verifyHostname: $0.caFile != nil && $0.verifyHostname)
            },
            connectionName: connectionName)
    }
}

extension TransportURL.Host {
    fileprivate var credentials: AMQPCredentials { AMQPCredentials(username: username, password: password) }
}
