extension TransportURL {
    /// What oslo.messaging's rabbit driver takes from a URL's query: `rabbit_opts` of `impl_rabbit.py` and `amqp_opts` of
    /// `amqp.py`. Only some of them have a meaning here.
    package static let queryKeys = [
        "amqp_auto_delete", "amqp_durable_queues", "conn_pool_min_size", "conn_pool_ttl", "direct_mandatory_flag",
        "enable_cancel_on_failover", "heartbeat_rate", "heartbeat_timeout_threshold", "hostname", "kombu_compression",
        "kombu_failover_strategy", "kombu_missing_consumer_retry_timeout", "kombu_reconnect_delay", "kombu_reconnect_splay",
        "processname", "rabbit_ha_queues", "rabbit_interval_max", "rabbit_login_method", "rabbit_qos_prefetch_count",
        "rabbit_quorum_delivery_limit", "rabbit_quorum_max_memory_bytes", "rabbit_quorum_max_memory_length",
        "rabbit_quorum_queue", "rabbit_retry_backoff", "rabbit_retry_interval", "rabbit_stream_fanout",
        "rabbit_transient_queues_ttl", "rabbit_transient_quorum_queue", "rpc_conn_pool_size", "ssl", "ssl_ca_file",
        "ssl_cert_file", "ssl_enforce_fips_mode", "ssl_enforce_hostname_verification", "ssl_key_file", "ssl_version",
        "use_queue_manager",
    ]
}

extension OsloRabbitOptions {
    /// Applies the driver's options that a transport URL's query sets, as oslo.messaging's `ConfigOptsProxy` does.
    ///
    /// - Throws: ``OptionsError`` for a value that cannot be parsed.
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
            guard let value = Int(text) else { throw OptionsError(message: "\(name) is not an integer") }
            self[keyPath: path] = value
        }
    }
}
