import ArgumentParser

/// Flags of the message bus.
struct BusOptions: ParsableArguments {
    @Option(key: "transport_url") var transportURL: String?
    @Option(key: "transport_url_file") var transportURLFile: String?
    @Option(key: "exchange") var exchange: String?
    @Option(key: "topic") var topic: String?
    @Option(key: "host") var host: String?
    @Option(key: "prefetch") var prefetch: String?
    @Option(key: "max_message_bytes") var maxMessageBytes: String?
    @Option(key: "reply_retry_timeout") var replyRetryTimeout: String?
    @Option(key: "failure_module") var failureModule: String?
    @Option(key: "notifications") var notifications: String?
    @Option(key: "notification_topic") var notificationTopic: String?
    @Option(key: "notification_queue_max_length") var notificationQueueMaxLength: String?
    @Option(key: "heartbeat_timeout_threshold") var heartbeatTimeoutThreshold: String?
    @Option(key: "amqp_durable_queues") var amqpDurableQueues: String?
    @Option(key: "amqp_auto_delete") var amqpAutoDelete: String?
    @Option(key: "rabbit_quorum_queue") var rabbitQuorumQueue: String?
    @Option(key: "rabbit_transient_quorum_queue") var rabbitTransientQuorumQueue: String?
    @Option(key: "rabbit_transient_queues_ttl") var rabbitTransientQueuesTTL: String?
    @Option(key: "rabbit_stream_fanout") var rabbitStreamFanout: String?
    @Option(key: "rabbit_quorum_delivery_limit") var rabbitQuorumDeliveryLimit: String?
    @Option(key: "rabbit_quorum_max_memory_length") var rabbitQuorumMaxMemoryLength: String?
    @Option(key: "rabbit_quorum_max_memory_bytes") var rabbitQuorumMaxMemoryBytes: String?
    @Option(key: "ssl") var ssl: String?
    @Option(key: "ssl_ca_file") var sslCAFile: String?
    @Option(key: "ssl_cert_file") var sslCertFile: String?
    @Option(key: "ssl_key_file") var sslKeyFile: String?

    /// What is given, by the names of the keys.
    var values: [String: String?] {
        [
            "transport_url": transportURL,
            "transport_url_file": transportURLFile,
            "exchange": exchange,
            "topic": topic,
            "host": host,
            "prefetch": prefetch,
            "max_message_bytes": maxMessageBytes,
            "reply_retry_timeout": replyRetryTimeout,
            "failure_module": failureModule,
            "notifications": notifications,
            "notification_topic": notificationTopic,
            "notification_queue_max_length": notificationQueueMaxLength,
            "heartbeat_timeout_threshold": heartbeatTimeoutThreshold,
            "amqp_durable_queues": amqpDurableQueues,
            "amqp_auto_delete": amqpAutoDelete,
            "rabbit_quorum_queue": rabbitQuorumQueue,
            "rabbit_transient_quorum_queue": rabbitTransientQuorumQueue,
            "rabbit_transient_queues_ttl": rabbitTransientQueuesTTL,
            "rabbit_stream_fanout": rabbitStreamFanout,
            "rabbit_quorum_delivery_limit": rabbitQuorumDeliveryLimit,
            "rabbit_quorum_max_memory_length": rabbitQuorumMaxMemoryLength,
            "rabbit_quorum_max_memory_bytes": rabbitQuorumMaxMemoryBytes,
            "ssl": ssl,
            "ssl_ca_file": sslCAFile,
            "ssl_cert_file": sslCertFile,
            "ssl_key_file": sslKeyFile,
        ]
    }
}
