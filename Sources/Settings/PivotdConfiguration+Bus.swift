import Foundation

extension PivotdConfiguration {
    /// The message bus, in oslo.messaging's terms.
    package struct Bus: Sendable {
        /// `rabbit://user:pass@host:port,…/vhost`; already the content of `transport_url_file` if that applies.
        package var transportURL: Secret
        /// The file that `transportURL` may have been read from.
        package var transportURLFile: String?
        /// The control exchange, also used for notifications.
        package var exchange: String
        /// The topic to serve, which is also the name of the shared queue.
        package var topic: String
        /// The server name: the queue is `TOPIC.HOST`.
        package var host: String
        /// Unacknowledged messages that the broker may deliver per queue.
        package var prefetch: Int
        /// Maximum bytes of a request's body.
        package var maxMessageBytes: Int
        /// How long a reply without a queue is retried.
        package var replyRetryTimeout: Duration
        /// The Python module of the exceptions in failures.
        package var failureModule: String
        /// Whether notifications are sent.
        package var notifications: Bool
        /// The first part of the notifications' routing keys.
        package var notificationTopic: String
        /// Maximum messages in a notification queue declared here; 0 for no limit.
        package var notificationQueueMaxLength: Int
        /// Seconds of silence after which the connection is lost; 0 disables heartbeats.
        package var heartbeatTimeoutThreshold: Int
        package var queues: QueueOptions
        package var tls: TLSOptions

        init(reader: inout ConfigurationReader) {
            reader.section = .bus
            transportURL = reader.secret(
                "transport_url", default: "rabbit://guest:guest@127.0.0.1:5672/",
                "The broker, rabbit://user:pass@host:port,…/vhost. A flag shows in the process list; use the environment or "
                    + "transport_url_file to hide the password")
            transportURLFile = reader.optionalPath(
                "transport_url_file",
                "A file with the transport URL, relative to $CREDENTIALS_DIRECTORY if that is set. Only a transport_url from a "
                    + "stronger layer overrides it")
            exchange = reader.text("exchange", default: "openstack", "The topic exchange of requests and notifications")
            topic = reader.text("topic", default: "pivotd", "The topic to serve")
            host = reader.text(
                "host", default: Self.hostName, shown: "the machine's host name",
                "The server name, used in the queue TOPIC.HOST and in publisher_id; each worker of a topic has its own")
            prefetch = reader.integer(
                "prefetch", default: 8192, 1...65_535,
                "Unacknowledged messages that the broker may deliver per queue; fewer if they are large: 64 MiB in all")
            maxMessageBytes = reader.integer(
                "max_message_bytes", default: 1 << 20, 4096...(64 << 20),
                "Maximum size of a request's body in bytes; a larger one is rejected, and its caller answered")
            replyRetryTimeout = reader.seconds(
                "reply_retry_timeout", default: 60, 0...86_400,
                "Seconds for which a reply is retried while its queue does not exist")
            failureModule = reader.text(
                "failure_module", default: "nova.exception", "The Python module named for the exceptions in failures")
            notifications = reader.boolean(
                "notifications", default: false, "Send notifications about swaps, and declare their queues")
            notificationTopic = reader.text(
                "notification_topic", default: "versioned_notifications", "The topic of notifications")
            notificationQueueMaxLength = reader.integer(
                "notification_queue_max_length", default: 0, 0...Int(Int32.max),
                "x-max-length of the notification queues that pivotd declares: the oldest messages are dropped; 0 omits it")
            heartbeatTimeoutThreshold = reader.integer(
                "heartbeat_timeout_threshold", default: 60, 0...65_535,
                "Seconds of silence from the broker after which the connection counts as lost; 0 disables heartbeats")
            queues = QueueOptions(reader: &reader)
            tls = TLSOptions(reader: &reader)
        }

        /// gethostname(2), like oslo's `socket.gethostname()`, without a resolver; `localhost` if it fails.
        private static let hostName: String = {
            var name = [CChar](repeating: 0, count: 256)
            guard unsafe gethostname(&name, name.count - 1) == 0 else { return "localhost" }
            let bytes = name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
            return bytes.isEmpty ? "localhost" : String(decoding: bytes, as: UTF8.self)
        }()
    }

    /// How exchanges and queues are declared, with the names and defaults of oslo.messaging's `[oslo_messaging_rabbit]`.
    package struct QueueOptions: Sendable {
        /// `amqp_durable_queues`
        package var isDurable: Bool
        /// `amqp_auto_delete`
        package var isAutoDelete: Bool
        /// `rabbit_quorum_queue`
        package var isQuorum: Bool
        /// `rabbit_transient_quorum_queue`, for reply and fanout queues.
        package var isTransientQuorum: Bool
        /// Seconds after which an unused transient queue (reply, fanout) expires; 0 means never.
        package var transientTTL: Int
        /// `rabbit_stream_fanout`
        package var isStreamFanout: Bool
        /// Redeliveries before a message is dead-lettered; 0 omits the argument.
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
                "Seconds after which unused transient queues expire; 0 means never")
            isStreamFanout = reader.boolean(
                "rabbit_stream_fanout", default: false, "Use one stream instead of fanout queues")
            quorumDeliveryLimit = reader.integer(
                "rabbit_quorum_delivery_limit", default: 0, 0...Int.max,
                "x-delivery-limit of quorum queues; 0 omits it")
            quorumMaxMemoryLength = reader.integer(
                "rabbit_quorum_max_memory_length", default: 0, 0...Int.max,
                "x-max-in-memory-length of quorum queues; 0 omits it")
            quorumMaxMemoryBytes = reader.integer(
                "rabbit_quorum_max_memory_bytes", default: 0, 0...Int.max,
                "x-max-in-memory-bytes of quorum queues; 0 omits it")
        }
    }

    /// TLS to the broker.
    package struct TLSOptions: Sendable {
        package var isEnabled: Bool
        package var caFile: String?
        package var certificateFile: String?
        package var keyFile: String?

        init(reader: inout ConfigurationReader) {
            isEnabled = reader.boolean("ssl", default: false, "Connect with TLS; rabbits:// and ?ssl=1 turn it on too")
            caFile = reader.optionalPath(
                "ssl_ca_file", "CA certificates used to verify the broker")
            certificateFile = reader.optionalPath("ssl_cert_file", "The client's certificate")
            keyFile = reader.optionalPath("ssl_key_file", "The client's private key")
        }
    }
}
