package import AMQP

/// The exchanges, queues and bindings that oslo.messaging's rabbit driver declares, with the same arguments.
///
/// Mirrors `declare_topic_consumer`, `declare_fanout_consumer`, `declare_direct_consumer`, `topic_send` and `notify_send` of
/// `oslo_messaging/_drivers/impl_rabbit.py`. The broker refuses a second declaration that differs in any way.
package struct OsloTopology: Sendable, Hashable {
    /// The control exchange.
    package let exchange: String
    /// How exchanges and queues are declared.
    package let options: OsloRabbitOptions

    /// - Parameter exchange: the control exchange.
    package init(exchange: String, options: OsloRabbitOptions = OsloRabbitOptions()) {
        self.exchange = exchange
        self.options = options
    }

    /// The queues that an RPC server of this topic and host consumes from.
    ///
    /// - Parameters:
    ///   - fanoutID: Distinguishes this server's fanout queue from others'; new on each start, as in oslo.
    ///   - prefetch: Maximum unacknowledged messages per queue; 0 means the connection's default.
    package func server(
        topic: String, host: String, fanoutID: String = UniqueID.random(), prefetch: UInt16 = 0
    ) -> AMQPTopology {
        let own = "\(topic).\(host)"
        let fanoutExchange = "\(topic)_fanout"
        let fanoutQueue = options.streamFanout ? fanoutExchange : "\(fanoutExchange)_\(fanoutID)"
        var topology = AMQPTopology(exchanges: [controlExchange])
        for queue in [topic, own] {
            topology.queues.append(topicQueue(queue))
            topology.bindings.append(QueueBinding(queue: queue, exchange: exchange, routingKey: queue))
            topology.consumers.append(
                ConsumerDeclaration(queue: queue, prefetch: prefetch, arguments: topicConsumerArguments))
        }
        topology.exchanges.append(
            ExchangeDeclaration(
                name: fanoutExchange, type: "fanout", durable: options.transientQuorumQueue || options.streamFanout,
                autoDelete: true))
        topology.queues.append(
            QueueDeclaration(
                name: fanoutQueue, durable: options.transientQuorumQueue || options.streamFanout,
                arguments: options.streamFanout ? streamArguments : transientArguments))
        topology.bindings.append(QueueBinding(queue: fanoutQueue, exchange: fanoutExchange, routingKey: topic))
        topology.consumers.append(
            ConsumerDeclaration(
                queue: fanoutQueue, prefetch: prefetch,
                arguments: options.streamFanout ? ["x-stream-offset": "last"] : topicConsumerArguments))
        return topology
    }

    /// The queue that a client consumes its replies from; deleted when the client ends, since no other one uses it.
    package func replies(queue: String, prefetch: UInt16 = 0) -> AMQPTopology {
        AMQPTopology(
            queues: [
                QueueDeclaration(
                    name: queue, durable: options.transientQuorumQueue, isDeletedAtClose: true, arguments: transientArguments)
            ],
            consumers: [ConsumerDeclaration(queue: queue, prefetch: prefetch, arguments: topicConsumerArguments)])
    }

    /// What a client declares before it sends requests.
    package var requests: AMQPTopology { AMQPTopology(exchanges: [controlExchange]) }

    /// What a notifier declares: the exchange, and a default queue for each priority, so that nothing is lost before the first
    /// listener starts. One topology each, because the broker may refuse them individually.
    ///
    /// - Parameter maxLength: Maximum messages per queue, 0 for no limit; an existing queue must have the same limit.
    package func notifications(topic: String, priorities: [NotificationPriority], maxLength: Int = 0) -> [AMQPTopology] {
        var parts = [AMQPTopology(exchanges: [controlExchange])]
        for priority in priorities {
            var queue = topicQueue("\(topic).\(priority.routingKeySuffix)")
            if maxLength > 0 { queue.arguments["x-max-length"] = .int64(Int64(maxLength)) }
            parts.append(AMQPTopology(queues: [queue]))
            let binding = QueueBinding(queue: queue.name, exchange: exchange, routingKey: queue.name)
            parts.append(AMQPTopology(bindings: [binding]))
        }
        return parts
    }

    private var controlExchange: ExchangeDeclaration {
        ExchangeDeclaration(name: exchange, type: "topic", durable: options.isDurable, autoDelete: options.autoDelete)
    }

    private func topicQueue(_ name: String) -> QueueDeclaration {
        QueueDeclaration(
            name: name, durable: options.isDurable, autoDelete: options.autoDelete,
            arguments: queueArguments(quorum: options.quorumQueue, expires: 0))
    }

    private var transientArguments: [String: AMQPValue] {
        queueArguments(quorum: options.transientQuorumQueue, expires: options.transientQueuesTTL)
    }

    private var streamArguments: [String: AMQPValue] {
        var arguments: [String: AMQPValue] = ["x-queue-type": "stream"]
        if options.transientQueuesTTL > 0 { arguments["x-max-age"] = .string("\(options.transientQueuesTTL)s") }
        return arguments
    }

    private var topicConsumerArguments: [String: AMQPValue] {
        options.cancelOnFailover ? ["x-cancel-on-ha-failover": true] : [:]
    }

    /// Mirrors `_get_queue_arguments`; `expires` in seconds.
    private func queueArguments(quorum: Bool, expires: Int) -> [String: AMQPValue] {
        var arguments: [String: AMQPValue] = [:]
        if options.haQueues { arguments["x-ha-policy"] = "all" }
        if quorum {
            arguments["x-queue-type"] = "quorum"
            let limits = [
                ("x-delivery-limit", options.quorumDeliveryLimit), ("x-max-in-memory-length", options.quorumMaxMemoryLength),
                ("x-max-in-memory-bytes", options.quorumMaxMemoryBytes),
            ]
            for (name, limit) in limits where limit > 0 { arguments[name] = .int64(Int64(limit)) }
        }
        if expires > 0 { arguments["x-expires"] = .int64(Int64(expires) * 1000) }
        return arguments
    }
}
