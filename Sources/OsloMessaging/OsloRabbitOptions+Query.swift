extension OsloRabbitOptions {
    /// Takes over the driver's options that a transport URL's query sets, as oslo.messaging's `ConfigOptsProxy` does.
    package mutating func apply(_ query: [String: String]) throws(OptionsError) {
        let flags: [(String, WritableKeyPath<OsloRabbitOptions, Bool>)] = [
            ("amqp_durable_queues", \.durableQueues), ("amqp_auto_delete", \.autoDelete), ("rabbit_ha_queues", \.haQueues),
            ("rabbit_quorum_queue", \.quorumQueue), ("rabbit_transient_quorum_queue", \.transientQuorumQueue),
            ("rabbit_stream_fanout", \.streamFanout), ("enable_cancel_on_failover", \.cancelOnFailover),
        ]
        for (name, path) in flags {
            guard let text = query[name] else { continue }
            do { self[keyPath: path] = try TransportURL.flag(text, name) } catch { throw OptionsError(message: error.message) }
        }
        let numbers: [(String, WritableKeyPath<OsloRabbitOptions, Int>)] = [
            ("rabbit_quorum_delivery_limit", \.quorumDeliveryLimit),
            ("rabbit_quorum_max_memory_length", \.quorumMaxMemoryLength),
            ("rabbit_quorum_max_memory_bytes", \.quorumMaxMemoryBytes), ("rabbit_transient_queues_ttl", \.transientQueuesTTL),
        ]
        for (name, path) in numbers {
            guard let text = query[name] else { continue }
            guard let value = Int(text) else { throw OptionsError(message: "\(name) is no whole number") }
            self[keyPath: path] = value
        }
    }
}
