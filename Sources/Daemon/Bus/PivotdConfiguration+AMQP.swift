package import AMQP
package import OsloMessaging

extension PivotdConfiguration.Bus {
    /// The connection that `transport_url` and the `ssl` keys ask for.
    ///
    /// - Parameter name: shown in the broker's list of connections.
    /// - Throws: ``ConfigurationError``, never with the password.
    package func amqpConfiguration(name: String) throws(ConfigurationError) -> AMQPConfiguration {
        var configuration = try reading("transport_url") { try url().amqpConfiguration(connectionName: name) }
        // AMQP counts in whole seconds from 1; off is as good as never.
        configuration.heartbeat = .seconds(heartbeatTimeoutThreshold == 0 ? 65_535 : heartbeatTimeoutThreshold)
        if tls.isEnabled || configuration.tls != nil {
            var settings =
                configuration.tls ?? AMQPTLS(caFile: nil, certFile: nil, keyFile: nil, verifyPeer: false, verifyHostname: false)
            if let caFile = tls.caFile {
                settings.caFile = caFile
                settings.verifyPeer = true
                settings.verifyHostname = true
            }
            settings.certFile = tls.certificateFile ?? settings.certFile
            settings.keyFile = tls.keyFile ?? settings.keyFile
            configuration.tls = settings
        }
        return configuration
    }

    /// Exchanges and queues as oslo.messaging's rabbit driver declares them under the same options.
    ///
    /// - Throws: ``ConfigurationError`` for options that exclude each other.
    package func topology() throws(ConfigurationError) -> OsloTopology {
        var options = OsloRabbitOptions()
        options.durableQueues = queues.isDurable
        options.autoDelete = queues.isAutoDelete
        options.quorumQueue = queues.isQuorum
        options.transientQuorumQueue = queues.isTransientQuorum
        options.transientQueuesTTL = queues.transientTTL
        options.streamFanout = queues.isStreamFanout
        options.quorumDeliveryLimit = queues.quorumDeliveryLimit
        options.quorumMaxMemoryLength = queues.quorumMaxMemoryLength
        options.quorumMaxMemoryBytes = queues.quorumMaxMemoryBytes
        let configured = options
        options = try reading("transport_url") {
            var options = configured
            try options.apply(try url().query)
            try options.validate()
            return options
        }
        return OsloTopology(exchange: exchange, options: options)
    }

    private func url() throws -> TransportURL { try TransportURL(parsing: transportURL.reveal()) }

    private func reading<Value>(_ key: String, _ body: () throws -> Value) throws(ConfigurationError) -> Value {
        do {
            return try body()
        } catch {
            throw ConfigurationError(problems: ["\(key): \(error)"])
        }
    }
}
