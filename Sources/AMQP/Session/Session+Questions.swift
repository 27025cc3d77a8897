internal import CRabbitMQ

/// Tests each permission with a method that needs it and an argument that RabbitMQ then refuses. RabbitMQ checks permissions
/// first (`rabbit_channel:handle_method`), so nothing is created, taken or sent, even if somebody else does the same for real at
/// that moment. A publish is rolled back in its transaction.
extension Session {
    /// Answers one question; its channel is open again afterwards.
    ///
    /// - Throws: The ``AMQPError`` if the connection does not survive it.
    func answer(_ question: AMQPQuestion) throws(AMQPError) -> AMQPAnswer {
        switch question {
        case .exchange(let exchange):
            var (passive, impossible) = (exchange, exchange)
            passive.passive = true
            impossible.arguments["alternate-exchange"] = 0
            return try answer(
                AMQPTopology(exchanges: [passive]), AMQPTopology(exchanges: [exchange]), AMQPTopology(exchanges: [impossible]),
                complaint: "alternate-exchange")
        case .queue(let queue):
            var (passive, impossible) = (queue, queue)
            passive.passive = true
            impossible.arguments["x-dead-letter-exchange"] = 0
            return try answer(
                AMQPTopology(queues: [passive]), AMQPTopology(queues: [queue]), AMQPTopology(queues: [impossible]),
                complaint: "x-dead-letter-exchange")
        case .binding(let binding):
            return try answer(Channel.topology) { () throws(AMQPError) in try unbindNothing(binding) }
        case .consumer(let consumer):
            return try answer(Channel.consume, complaint: "x-priority") { () throws(AMQPError) in try consumeImpossibly(consumer)
            }
        case .consumers(let queue):
            var count = 0
            let answer = try answer(Channel.topology) { () throws(AMQPError) in
                count = try declare(QueueDeclaration(name: queue, passive: true)).consumers
            }
            return if case .yes = answer { .count(count) } else { answer }
        case .publish(let exchange, let routingKey):
            return try answer(Channel.publish) { () throws(AMQPError) in try publishInVain(exchange, routingKey) }
        }
    }

    private func answer(
        _ passive: AMQPTopology, _ active: AMQPTopology, _ impossible: AMQPTopology, complaint: String
    ) throws(AMQPError) -> AMQPAnswer {
        switch try answer(Channel.topology, { () throws(AMQPError) in _ = try declare(passive) }) {
        case .no(let error): return .no(error)
        case .yes, .count:
            // It exists, so this creates nothing: the broker compares, and refuses what differs.
            return try answer(Channel.topology) { () throws(AMQPError) in _ = try declare(active) }
        case .notThereYet:
            let answer = try answer(Channel.topology, complaint: complaint) { () throws(AMQPError) in _ = try declare(impossible)
            }
            return if case .yes = answer { .notThereYet } else { answer }
        }
    }

    /// Carries out a method, and reopens its channel if the broker closed it.
    ///
    /// - Parameter complaint: Part of the error that the broker gives if the permissions are sufficient.
    private func answer(
        _ channel: UInt16, complaint: String? = nil, _ method: () throws(AMQPError) -> Void
    ) throws(AMQPError) -> AMQPAnswer {
        do throws(AMQPError) {
            try method()
            return .yes
        } catch {
            guard error.code == .channelClosed else { throw error }
            try confirmChannelClose(channel)
            try openChannel(channel)
            if let complaint, error.replyCode == 406, error.message.contains(complaint) { return .yes }
            return error.replyCode == 404 && !error.isHomeNodeDown ? .notThereYet : .no(error)
        }
    }

    /// Removes a binding that cannot exist because of its argument; that needs the same permissions as adding one.
    private func unbindNothing(_ binding: QueueBinding) throws(AMQPError) {
        defer { pool.recycle() }
        let arguments = binding.arguments.merging(["x-pivotd-asks": true]) { first, _ in first }
        unsafe _ = amqp_queue_unbind(
            state, Channel.topology, try pool.bytes(binding.queue), try pool.bytes(binding.exchange),
            try pool.bytes(binding.routingKey), try pool.table(arguments))
        try checkLastReply()
    }

    /// Consumes with a priority that is not a number.
    private func consumeImpossibly(_ consumer: ConsumerDeclaration) throws(AMQPError) {
        var consumer = consumer
        consumer.arguments["x-priority"] = "not a number"
        try cancel(tag: try consume(consumer, queue: consumer.queue, prefetch: 1))
    }

    /// Publishes in a transaction that is rolled back.
    private func publishInVain(_ exchange: String, _ routingKey: String) throws(AMQPError) {
        unsafe _ = amqp_tx_select(state, Channel.publish)
        try checkLastReply()
        try publish(AMQPMessage(body: []), exchange: exchange, routingKey: routingKey, mandatory: false)
        // The broker answers the publish before it answers this.
        unsafe _ = amqp_tx_rollback(state, Channel.publish)
        try checkLastReply()
    }

    /// Why the broker blocks publishers, if it has said so.
    func blockReason() throws(AMQPError) -> String? {
        var reader = FrameReader(bodyLimit: 0, tailLimit: 0)
        while let frame = try reader.next(self) {
            if case .blocked(let reason) = frame { return reason }
        }
        return nil
    }

    /// Closes the connection, and its channels with it.
    func closeConnection() {
        setTimeout(.seconds(2))
        unsafe _ = amqp_connection_close(state, AMQP_REPLY_SUCCESS)
    }

    func openChannels() throws(AMQPError) {
        for channel in [Channel.consume, Channel.publish, Channel.topology] { try openChannel(channel) }
    }
}
