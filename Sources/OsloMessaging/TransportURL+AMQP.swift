package import AMQP

extension TransportURL {
    /// The connection's configuration that this URL asks for.
    ///
    /// As with oslo.messaging the broker's certificate is verified when `ssl_ca_file` is given, and not otherwise.
    ///
    /// - Parameter connectionName: shown in the broker's list of connections.
    /// - Throws: `ParseError` when the hosts have different credentials: a connection has one pair for all of them.
    package func amqpConfiguration(connectionName: String) throws(ParseError) -> AMQPConfiguration {
        guard let first = hosts.first else { throw ParseError(message: "no host") }
        guard hosts.allSatisfy({ $0.username == first.username && $0.password == first.password }) else {
            throw ParseError(message: "all hosts need the same user name and password")
        }
        return AMQPConfiguration(
            endpoints: hosts.map { AMQPEndpoint(host: $0.name, port: $0.port) },
            credentials: AMQPCredentials(username: first.username, password: first.password), virtualHost: virtualHost,
            tls: tls.map {
                AMQPTLS(
                    caFile: $0.caFile, certFile: $0.certFile, keyFile: $0.keyFile, verifyPeer: $0.caFile != nil,
                    verifyHostname: $0.caFile != nil && $0.verifyHostname)
            },
            connectionName: connectionName)
    }
}
