import Foundation

extension PivotdConfiguration {
    /// The message bus, in oslo.messaging's terms.
    package struct Bus: Sendable {
        /// `rabbit://user:pass@host:port,…/vhost`; already the content of `transport_url_file` when that one counts.
        package var transportURL: Secret
        package var transportURLFile: String?
        package var exchange: String
        package var topic: String
        package var host: String
        /// Messages the broker may have on the way to us.
        package var prefetch: Int
        /// Bytes of a request's body.
        package var maxMessageBytes: Int
        package var replyRetryTimeout: Duration
        package var failureModule: String
        package var notifications: Bool
        package var notificationTopic: String
        /// Messages that a notification queue declared here holds; 0 for no limit.
        package var notificationQueueMaxLength: Int
        package var heartbeatTimeoutThreshold: Int
        package var queues: QueueOptions
        package var tls: TLSOptions

        init(reader: inout ConfigurationReader) {
            reader.section = .bus
            transportURL = reader.secret(
                "transport_url", default: "rabbit://guest:guest@127.0.0.1:5672/",
                "The broker, rabbit://user:pass@host:port,…/vhost. A flag shows in the process list: the environment or "
                    + "transport_url_file keeps the password out of it")
            transportURLFile = reader.optionalPath(
                "transport_url_file",
                "A file with the transport URL; relative to $CREDENTIALS_DIRECTORY when that is set. "
                    + "Only a transport_url given at a stronger layer wins over it")
            exchange = reader.text("exchange", default: "openstack", "The topic exchange of requests and notifications")
            topic = reader.text("topic", default: "pivotd", "The topic served")
            host = reader.text(
                "host", default: Self.hostName, shown: "the machine's host name",
                "The server name: the queue TOPIC.HOST and publisher_id")
            prefetch = reader.integer(
                "prefetch", default: 8192, 1...65_535,
                "Messages of each queue that the broker may deliver ahead of their acknowledgement; fewer while large ones are among "
                    + "them: 64 MiB in all")
            maxMessageBytes = reader.integer(
                "max_message_bytes", default: 1 << 20, 4096...(64 << 20),
                "Bytes of a request's body; a larger one is rejected, and its caller answered")
            replyRetryTimeout = reader.seconds(
                "reply_retry_timeout", default: 60, 0...86_400,
                "Seconds for which a reply is retried whose reply queue is not there")
            failureModule = reader.text(
                "failure_module", default: "nova.exception", "The Python module of the exceptions in failures")
            notifications = reader.boolean(
                "notifications", default: false, "Send notifications of swaps, and declare their queues")
            notificationTopic = reader.text(
                "notification_topic", default: "versioned_notifications", "The topic of notifications")
            notificationQueueMaxLength = reader.integer(
                "notification_queue_max_length", default: 0, 0...Int(Int32.max),
                "x-max-length of the notification queues that pivotd declares: the oldest are dropped; 0 leaves it out")
            heartbeatTimeoutThreshold = reader.integer(
                "heartbeat_timeout_threshold", default: 60, 0...65_535,
                "Seconds without a sign of the broker after which the connection counts as lost; 0 switches heartbeats off")
            queues = QueueOptions(reader: &reader)
            tls = TLSOptions(reader: &reader)
        }

        /// gethostname(2), as oslo's `socket.gethostname()`: no resolver is asked. `localhost` when there is none.
        private static let hostName: String = {
            var name = [CChar](repeating: 0, count: 256)
            guard unsafe gethostname(&name, name.count - 1) == 0 else { return "localhost" }
            let bytes = name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
            return bytes.isEmpty ? "localhost" : String(decoding: bytes, as: UTF8.self)
        }()
    }

    /// How exchanges and queues are declared: oslo.messaging's options, names and defaults ([oslo_messaging_rabbit]).
    package struct QueueOptions: Sendable {
        package var isDurable: Bool
        package var isAutoDelete: Bool
        package var isQuorum: Bool
        package var isTransientQuorum: Bool
        /// Seconds after which an unused transient queue (reply, fanout) goes; 0 for never.
        package var transientTTL: Int
        package var isStreamFanout: Bool
        package var quorumDeliveryLimit: Int
        package var quorumMaxMemoryLength: Int
        package var quorumMaxMemoryBytes: Int

        init(reader: inout ConfigurationReader) {
            isDurable = reader.boolean("amqp_durable_queues", default: false, "Declare durable queues and exchanges")
            isAutoDelete = reader.boolean("amqp_auto_delete", default: false, "Declare auto-delete queues and exchanges")
            isQuorum = reader.boolean("rabbit_quorum_queue", default: false, "Declare the RPC queues as quorum queues")
            isTransientQuorum = reader.boolean(
                "rabbit_transient_quorum_queue", default: false, "Declare transient (reply, fanout) queues as quorum queues"
            )
            transientTTL = reader.integer(
                "rabbit_transient_queues_ttl", default: 1800, 0...4_294_967,
                "Seconds after which unused transient queues expire; 0 for never")
            isStreamFanout = reader.boolean(
                "rabbit_stream_fanout", default: false, "One stream instead of fanout queues")
            quorumDeliveryLimit = reader.integer(
                "rabbit_quorum_delivery_limit", default: 0, 0...Int(Int32.max),
                "x-delivery-limit of quorum queues; 0 leaves it out")
            quorumMaxMemoryLength = reader.integer(
                "rabbit_quorum_max_memory_length", default: 0, 0...Int(Int32.max),
                "x-max-in-memory-length of quorum queues; 0 leaves it out")
            quorumMaxMemoryBytes = reader.integer(
                "rabbit_quorum_max_memory_bytes", default: 0, 0...Int.max,
                "x-max-in-memory-bytes of quorum queues; 0 leaves it out")
        }
    }

    /// TLS to the broker.
    package struct TLSOptions: Sendable {
        package var isEnabled: Bool
        package var caFile: String?
        package var certificateFile: String?
        package var keyFile: String?

        init(reader: inout ConfigurationReader) {
            isEnabled = reader.boolean("ssl", default: false, "Connect by TLS; also on with rabbits:// or ?ssl=1")
            caFile = reader.optionalPath(
                "ssl_ca_file", "Certificates of the authorities that the broker is checked against")
            certificateFile = reader.optionalPath("ssl_cert_file", "The client's certificate")
            keyFile = reader.optionalPath("ssl_key_file", "The client's private key")
        }
    }
}
