/// Where and how a caller waits for its reply.
package struct ReplyAddress: Sendable, Hashable, Codable {
    /// The call's id, `_msg_id`.
    package let messageID: String
    /// The caller's queue, `_reply_q`, reached through the default exchange.
    package let replyQueue: String
    /// `_timeout`: seconds without a heartbeat after which the caller gives up; nil if it wants no heartbeats.
    package let timeout: Double?

    package init(messageID: String, replyQueue: String, timeout: Double? = nil) {
        self.messageID = messageID
        self.replyQueue = replyQueue
        self.timeout = timeout
    }

    /// Whether the queue's name is reserved for the broker: RabbitMQ closes a connection (541) that publishes to a malformed
    /// `amq.rabbitmq.reply-to.…`. Queues that the broker has named for a client, `amq.gen-…`, are like all others.
    package var isReserved: Bool { replyQueue.hasPrefix("amq.rabbitmq.") }

    /// How often a heartbeat is due while the call runs: half the caller's timeout, at most a day; nil for never.
    ///
    /// One per second for timeouts below a second, so that a careless caller causes no storm.
    package var heartbeatInterval: Duration? {
        guard let timeout, timeout > 0 else { return nil }
        return .seconds(timeout < 1 ? 1 : min(timeout / 2, 86_400))
    }
}
