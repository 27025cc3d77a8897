internal import CRabbitMQ
internal import Glibc

/// Methods sent to the broker. Synchronous ones wait for their answer while librabbitmq queues the other channels' frames.
extension Session {
    func openChannel(_ channel: UInt16) throws(AMQPError) {
        unsafe _ = amqp_channel_open(state, channel)
        try checkLastReply()
    }

    func selectConfirms(_ channel: UInt16) throws(AMQPError) {
        unsafe _ = amqp_confirm_select(state, channel)
        try checkLastReply()
    }

    /// Answers the broker's channel.close, after which the channel's number is free again.
    func confirmChannelClose(_ channel: UInt16) throws(AMQPError) {
        var method = amqp_channel_close_ok_t()
        try check(status: unsafe amqp_send_method(state, channel, AMQP_CHANNEL_CLOSE_OK_METHOD, &method))
    }

    func confirmConnectionClose() {
        var method = amqp_connection_close_ok_t()
        unsafe _ = amqp_send_method(state, 0, AMQP_CONNECTION_CLOSE_OK_METHOD, &method)
    }

    func confirmCancel(tag: String) throws(AMQPError) {
        defer { pool.recycle() }
        var method = unsafe amqp_basic_cancel_ok_t(consumer_tag: try pool.bytes(tag))
        try check(status: unsafe amqp_send_method(state, Channel.consume, AMQP_BASIC_CANCEL_OK_METHOD, &method))
    }

    func confirmFlow(_ channel: UInt16, active: Int32) throws(AMQPError) {
        var method = amqp_channel_flow_ok_t(active: active)
        try check(status: unsafe amqp_send_method(state, channel, AMQP_CHANNEL_FLOW_OK_METHOD, &method))
    }

    /// Declares exchanges, queues and bindings; returns the names the broker gave.
    func declare(_ topology: AMQPTopology) throws(AMQPError) -> [String] {
        defer { unsafe amqp_maybe_release_buffers_on_channel(state, Channel.topology) }
        var names: [String] = []
        for exchange in topology.exchanges {
            do throws(AMQPError) { try declare(exchange) } catch { throw error.prefixed("exchange '\(exchange.name)'") }
        }
        for queue in topology.queues {
            do throws(AMQPError) {
                let name = try declare(queue).name
                if queue.name.isEmpty { names.append(name) }
            } catch { throw error.prefixed("queue '\(queue.name)'") }
        }
        for binding in topology.bindings {
            let queue = binding.queue.isEmpty ? names.last ?? "" : binding.queue
            do throws(AMQPError) { try bind(binding, queue: queue) } catch {
                throw error.prefixed("binding of queue '\(queue)' to exchange '\(binding.exchange)'")
            }
        }
        return names
    }

    private func declare(_ exchange: ExchangeDeclaration) throws(AMQPError) {
        defer { pool.recycle() }
        unsafe _ = amqp_exchange_declare(
            state, Channel.topology, try pool.bytes(exchange.name), try pool.bytes(exchange.type), exchange.passive ? 1 : 0,
            exchange.durable ? 1 : 0, exchange.autoDelete ? 1 : 0, 0, try pool.table(exchange.arguments))
        try checkLastReply()
    }

    /// - Returns: Its name, which the broker may have chosen, and how many consumers it has.
    func declare(_ queue: QueueDeclaration) throws(AMQPError) -> (name: String, consumers: Int) {
        defer { pool.recycle() }
        let reply = unsafe amqp_queue_declare(
            state, Channel.topology, try pool.bytes(queue.name), queue.passive ? 1 : 0, queue.durable ? 1 : 0,
            queue.exclusive ? 1 : 0, queue.autoDelete ? 1 : 0, try pool.table(queue.arguments))
        try checkLastReply()
        guard let reply = unsafe reply?.pointee else { return (queue.name, 0) }
        return unsafe (String(reply.queue), Int(reply.consumer_count))
    }

    /// Sends a passive queue.declare without waiting: the answer is a frame, and may take the broker minutes.
    func ask(about queue: String, on channel: UInt16) throws(AMQPError) {
        defer { pool.recycle() }
        var method = unsafe amqp_queue_declare_t(
            ticket: 0, queue: try pool.bytes(queue), passive: 1, durable: 0, exclusive: 0, auto_delete: 0, nowait: 0,
            arguments: amqp_empty_table)
        try check(status: unsafe amqp_send_method(state, channel, AMQP_QUEUE_DECLARE_METHOD, &method))
    }

    private func bind(_ binding: QueueBinding, queue: String) throws(AMQPError) {
        defer { pool.recycle() }
        unsafe _ = amqp_queue_bind(
            state, Channel.topology, try pool.bytes(queue), try pool.bytes(binding.exchange), try pool.bytes(binding.routingKey),
            try pool.table(binding.arguments))
        try checkLastReply()
    }

    /// basic.qos and basic.consume; returns the consumer's tag.
    func consume(_ consumer: ConsumerDeclaration, queue: String, prefetch: UInt16) throws(AMQPError) -> String {
        defer { pool.recycle() }
        do throws(AMQPError) {
            unsafe _ = amqp_basic_qos(state, Channel.consume, 0, prefetch, 0)
            try checkLastReply()
            let reply = unsafe amqp_basic_consume(
                state, Channel.consume, try pool.bytes(queue), try pool.bytes(consumer.tag), 0, 0, consumer.exclusive ? 1 : 0,
                try pool.table(consumer.arguments))
            try checkLastReply()
            return unsafe reply.map { unsafe String($0.pointee.consumer_tag) } ?? consumer.tag
        } catch { throw error.prefixed("consumer of queue '\(queue)'") }
    }

    func cancel(tag: String) throws(AMQPError) {
        defer { pool.recycle() }
        unsafe _ = amqp_basic_cancel(state, Channel.consume, try pool.bytes(tag))
        try checkLastReply()
    }

    /// Sends a basic.cancel whose answer arrives as a frame after all earlier deliveries.
    func requestCancel(tag: String) throws(AMQPError) {
        defer { pool.recycle() }
        var method = unsafe amqp_basic_cancel_t(consumer_tag: try pool.bytes(tag), nowait: 0)
        try check(status: unsafe amqp_send_method(state, Channel.consume, AMQP_BASIC_CANCEL_METHOD, &method))
    }

    func acknowledge(_ acknowledgement: SettlementLedger.Acknowledgement) throws(AMQPError) {
        let multiple: Int32 = acknowledgement.multiple ? 1 : 0
        try check(status: unsafe amqp_basic_ack(state, Channel.consume, acknowledgement.value, multiple))
    }

    func reject(_ value: UInt64, requeue: Bool) throws(AMQPError) {
        try check(status: unsafe amqp_basic_reject(state, Channel.consume, value, requeue ? 1 : 0))
    }

    func publish(_ message: AMQPMessage, exchange: String, routingKey: String, mandatory: Bool) throws(AMQPError) {
        defer { pool.recycle() }
        var properties = unsafe try message.properties.encode(in: pool)
        let (exchange, routingKey) = unsafe (try pool.bytes(exchange), try pool.bytes(routingKey))
        let status = unsafe message.body.withUnsafeBytes { body in
            let bytes = unsafe amqp_bytes_t(len: body.count, bytes: UnsafeMutableRawPointer(mutating: body.baseAddress))
            return unsafe amqp_basic_publish(
                state, Channel.publish, exchange, routingKey, mandatory ? 1 : 0, 0, &properties, bytes)
        }
        try check(status: status)
    }

    /// Has the broker read everything before the connection ends: closed with unread input, a socket is reset, and what was written lost.
    func finishWriting(within limit: Duration) {
        _ = shutdown(descriptor, Int32(SHUT_WR))
        let deadline = ContinuousClock.now + limit
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while wait(for: [descriptor], until: deadline)[0] {
            guard unsafe recv(descriptor, &buffer, buffer.count, 0) > 0 else { return }
        }
    }

    func sendHeartbeat() throws(AMQPError) {
        var frame = unsafe amqp_frame_t()
        unsafe frame.frame_type = UInt8(AMQP_FRAME_HEARTBEAT)
        try check(status: unsafe amqp_send_frame(state, &frame))
    }

    /// channel.close, queue.delete and connection.close, each answered within the time set by ``setTimeout(_:)``.
    func close(deleting queues: [String]) {
        for channel in [Channel.consume, Channel.publish] {
            guard unsafe amqp_channel_close(state, channel, AMQP_REPLY_SUCCESS).reply_type == AMQP_RESPONSE_NORMAL else { return }
        }
        // What cannot be deleted expires.
        for queue in queues { guard (try? delete(queue)) != nil else { break } }
        unsafe _ = amqp_connection_close(state, AMQP_REPLY_SUCCESS)
    }

    private func delete(_ queue: String) throws(AMQPError) {
        defer { pool.recycle() }
        unsafe _ = amqp_queue_delete(state, Channel.topology, try pool.bytes(queue), 0, 0)
        try checkLastReply()
    }
}
