/// The options of oslo.messaging's rabbit driver that decide how exchanges and queues are declared.
///
/// Names and defaults are those of `[oslo_messaging_rabbit]` in `oslo_messaging/_drivers/impl_rabbit.py` and `amqp.py`. They must
/// match those of the other services on the same exchange, or the broker refuses the declaration.
package struct OsloRabbitOptions: Sendable, Hashable {
    /// `amqp_durable_queues`
    package var durableQueues = false
    /// `amqp_auto_delete`
    package var autoDelete = false
    /// `rabbit_ha_queues`
    package var haQueues = false
    /// `rabbit_quorum_queue`
    package var quorumQueue = false
    /// `rabbit_transient_quorum_queue`
    package var transientQuorumQueue = false
    /// `rabbit_quorum_delivery_limit`, 0 for none
    package var quorumDeliveryLimit = 0
    /// `rabbit_quorum_max_memory_length` in messages, 0 for none
    package var quorumMaxMemoryLength = 0
    /// `rabbit_quorum_max_memory_bytes`, 0 for none
    package var quorumMaxMemoryBytes = 0
    /// `rabbit_transient_queues_ttl` in seconds, 0 for none
    package var transientQueuesTTL = 1800
    /// `rabbit_stream_fanout`
    package var streamFanout = false
    /// `enable_cancel_on_failover`
    package var cancelOnFailover = false

    package init() {}

    /// Whether topic queues and exchanges are durable.
    package var isDurable: Bool { durableQueues || quorumQueue }

    /// Checks the same combinations as the rabbit driver.
    ///
    /// - Throws: ``OptionsError`` for a contradiction or a value out of range.
    package func validate() throws(OptionsError) {
        if haQueues, quorumQueue || transientQuorumQueue {
            throw OptionsError(message: "rabbit_ha_queues cannot be combined with quorum queues")
        }
        if streamFanout, !transientQuorumQueue {
            throw OptionsError(message: "rabbit_stream_fanout needs rabbit_transient_quorum_queue")
        }
        let limits = [
            ("rabbit_quorum_delivery_limit", quorumDeliveryLimit), ("rabbit_quorum_max_memory_length", quorumMaxMemoryLength),
            ("rabbit_quorum_max_memory_bytes", quorumMaxMemoryBytes),
        ]
        for (name, value) in limits where value < 0 { throw OptionsError(message: "\(name) is \(value), not 0 or more") }
        // It is sent in milliseconds.
        guard (0...Int(Int32.max)).contains(transientQueuesTTL) else {
            throw OptionsError(
                message: "rabbit_transient_queues_ttl is \(transientQueuesTTL), not between 0 and \(Int32.max)")
        }
    }

    /// Options that contradict each other or are out of range.
    package struct OptionsError: Error, Sendable, Hashable, CustomStringConvertible {
        package let message: String
        package var description: String { message }
    }
}
