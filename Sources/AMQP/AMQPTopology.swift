/// The arguments of an exchange.declare.
package struct ExchangeDeclaration: Sendable, Hashable {
    package var name: String
    /// `direct`, `topic`, `fanout`, `headers`, or a plug-in's type.
    package var type: String
    /// Survives a restart of the broker.
    package var durable: Bool
    /// Deleted with its last binding.
    package var autoDelete: Bool
    /// Only checks that it exists.
    package var passive: Bool
    package var arguments: [String: AMQPValue]

    package init(
        name: String, type: String = "topic", durable: Bool = false, autoDelete: Bool = false, passive: Bool = false,
        arguments: [String: AMQPValue] = [:]
    ) {
        self.name = name
        self.type = type
        self.durable = durable
        self.autoDelete = autoDelete
        self.passive = passive
        self.arguments = arguments
    }
}

/// The arguments of a queue.declare.
package struct QueueDeclaration: Sendable, Hashable {
    /// If empty, the broker names it, differently on each connection.
    package var name: String
    /// Survives a restart of the broker.
    package var durable: Bool
    /// Used by this connection alone, and deleted with it.
    package var exclusive: Bool
    /// Deleted when its last consumer ends.
    package var autoDelete: Bool
    /// Deleted when this connection is closed in order; it outlives a lost connection, which consumes from it again.
    package var isDeletedAtClose: Bool
    /// Only checks that it exists.
    package var passive: Bool
    /// `x-` arguments, such as `x-queue-type`.
    package var arguments: [String: AMQPValue]

    package init(
        name: String, durable: Bool = false, exclusive: Bool = false, autoDelete: Bool = false, isDeletedAtClose: Bool = false,
        passive: Bool = false, arguments: [String: AMQPValue] = [:]
    ) {
        self.name = name
        self.durable = durable
        self.exclusive = exclusive
        self.autoDelete = autoDelete
        self.isDeletedAtClose = isDeletedAtClose
        self.passive = passive
        self.arguments = arguments
    }
}

/// The arguments of a queue.bind.
package struct QueueBinding: Sendable, Hashable {
    /// If empty, the last queue of the same topology that the broker named.
    package var queue: String
    package var exchange: String
    package var routingKey: String
    package var arguments: [String: AMQPValue]

    package init(queue: String, exchange: String, routingKey: String, arguments: [String: AMQPValue] = [:]) {
        self.queue = queue
        self.exchange = exchange
        self.routingKey = routingKey
        self.arguments = arguments
    }
}

/// The arguments of a basic.consume, and of the basic.qos before it.
package struct ConsumerDeclaration: Sendable, Hashable {
    /// If empty, the last queue of the same topology that the broker named.
    package var queue: String
    /// If empty, the broker chooses one.
    package var tag: String
    /// Whether to be the queue's only consumer.
    package var exclusive: Bool
    /// Maximum unacknowledged deliveries of this consumer; 0 means the connection's `deliveryBuffer`.
    package var prefetch: UInt16
    package var arguments: [String: AMQPValue]

    package init(
        queue: String, tag: String = "", exclusive: Bool = false, prefetch: UInt16 = 0,
        arguments: [String: AMQPValue] = [:]
    ) {
        self.queue = queue
        self.tag = tag
        self.exclusive = exclusive
        self.prefetch = prefetch
        self.arguments = arguments
    }
}

/// What a connection declares each time it is established, in this order.
package struct AMQPTopology: Sendable, Hashable {
    /// Declared first.
    package var exchanges: [ExchangeDeclaration]
    /// Declared after the exchanges.
    package var queues: [QueueDeclaration]
    /// Added once exchanges and queues exist.
    package var bindings: [QueueBinding]
    /// Started last.
    package var consumers: [ConsumerDeclaration]

    package init(
        exchanges: [ExchangeDeclaration] = [], queues: [QueueDeclaration] = [], bindings: [QueueBinding] = [],
        consumers: [ConsumerDeclaration] = []
    ) {
        self.exchanges = exchanges
        self.queues = queues
        self.bindings = bindings
        self.consumers = consumers
    }

    /// Whether its queues, with what is in them, remain while nothing is consumed from them.
    package var outlivesConsumers: Bool { !queues.contains(where: \.autoDelete) }

    /// Checks that every name fits AMQP's short string and every table a frame of `frameMax` bytes.
    ///
    /// - Throws: ``AMQPError`` `invalidArgument` if one does not.
    func validate(frameMax: Int) throws(AMQPError) {
        let names =
            exchanges.flatMap { [$0.name, $0.type] } + queues.map(\.name)
            + bindings.flatMap { [$0.queue, $0.exchange, $0.routingKey] } + consumers.flatMap { [$0.queue, $0.tag] }
        if let name = names.first(where: { $0.utf8.count > 255 }) {
            throw AMQPError(code: .invalidArgument, message: "longer than 255 bytes: \(name.prefix(64))…")
        }
        let tables = exchanges.map(\.arguments) + queues.map(\.arguments) + bindings.map(\.arguments) + consumers.map(\.arguments)
        guard tables.allSatisfy({ AMQPValue.isEncodable($0) && AMQPValue.encodedSize(of: $0) + 1024 <= frameMax }) else {
            throw AMQPError(code: .invalidArgument, message: "the arguments are nested too deeply or larger than a frame")
        }
    }
}
