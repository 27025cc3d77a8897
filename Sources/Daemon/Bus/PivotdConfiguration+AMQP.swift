package import AMQP
package import OsloMessaging

extension PivotdConfiguration.Bus {
    /// The connection that `transport_url` and the `ssl` keys ask for.
    ///
    /// - Parameter name: shown in the broker's list of connections.
    package func amqpConfiguration(name: String) throws -> AMQPConfiguration {
        var configuration = try TransportURL(parsing: transportURL.reveal()).amqpConfiguration(connectionName: name)
        configuration.heartbeat = .seconds(heartbeatTimeoutThreshold)
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
    package func topology() throws -> OsloTopology {
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
        try options.validate()
        return OsloTopology(exchange: exchange, options: options)
    }
}
