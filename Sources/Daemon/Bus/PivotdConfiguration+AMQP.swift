package import AMQP
package import OsloMessaging
package import Settings

extension PivotdConfiguration.Bus {
    /// The connection that `transport_url` and the `ssl` keys ask for.
    ///
    /// - Parameter name: Shown in the broker's list of connections.
    /// - Throws: ``ConfigurationError``, which never contains the password.
    package func amqpConfiguration(name: String) throws(ConfigurationError) -> AMQPConfiguration {
        let url = try reading("transport_url") { try parsedURL() }
        var configuration = try reading("transport_url") { try url.amqpConfiguration(connectionName: name) }
        let threshold = try url.query["heartbeat_timeout_threshold"].map(Self.heartbeatThreshold) ?? heartbeatTimeoutThreshold
        configuration.heartbeat = .seconds(threshold)
        if tls.isEnabled || configuration.tls != nil {
            var settings = configuration.tls ?? url.tlsFiles
            if let caFile = tls.caFile {
                settings.caFile = caFile
                settings.verifyPeer = true
                settings.verifyHostname = try reading("transport_url") { try url.verifiesHostname }
            }
            settings.certFile = tls.certificateFile ?? settings.certFile
            settings.keyFile = tls.keyFile ?? settings.keyFile
            configuration.tls = settings
        }
        return configuration
    }

    /// Exchanges and queues as oslo.messaging's rabbit driver declares them under the same options.
    ///
    /// - Throws: ``ConfigurationError`` for mutually exclusive options.
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
            try options.apply(try parsedURL().query)
            try options.validate()
            return options
        }
        return OsloTopology(exchange: exchange, options: options)
    }

    private static func heartbeatThreshold(_ text: String) throws(ConfigurationError) -> Int {
        guard let seconds = Int(text), (0...65_535).contains(seconds) else {
            throw ConfigurationError(problems: ["transport_url: heartbeat_timeout_threshold must be: integer 0…65535"])
        }
        return seconds
    }

    private func parsedURL() throws -> TransportURL {
        let url = try TransportURL(parsing: transportURL.reveal())
        let unknown = url.query.keys.filter { !TransportURL.queryKeys.contains($0) }.sorted()
        guard unknown.isEmpty else {
            // Never quoted: an unencoded "?" in a password puts part of the password here.
            throw ConfigurationError(
                problems: unknown.map { key in
                    Suggestion.nearest(to: key, in: TransportURL.queryKeys)
                        .map { "the query has a key that is not known, like \($0): is that what it should be?" }
                        ?? "the query has a key that is not known (is the password percent-encoded?)"
                })
        }
        return url
    }

    private func reading<Value>(_ key: String, _ body: () throws -> Value) throws(ConfigurationError) -> Value {
        do {
            return try body()
        } catch {
            throw ConfigurationError(problems: ["\(key): \(error)"])
        }
    }
}
