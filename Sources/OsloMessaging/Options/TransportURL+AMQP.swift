package import AMQP

extension TransportURL {
    /// The connection configuration that this URL describes.
    ///
    /// As in oslo.messaging, hosts are tried in random order, each with its own user, so that clients spread over a cluster.
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
        guard !hosts.isEmpty else { throw ParseError(message: "no host") }
        return AMQPConfiguration(
            endpoints: hosts.map(AMQPEndpoint.init).shuffled(using: &generator), virtualHost: virtualHost, tls: tls,
            connectionName: connectionName)
    }
}

extension AMQPEndpoint {
    package init(_ host: TransportURL.Host) {
        let user = AMQPCredentials(username: host.username, password: host.password)
        self.init(host: host.name, port: host.port, credentials: user)
    }
}
