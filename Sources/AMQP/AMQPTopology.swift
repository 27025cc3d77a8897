/// exchange.declare
package struct ExchangeDeclaration: Sendable, Hashable {
    package var name: String
    /// `direct`, `topic`, `fanout`, `headers`, or a plug-in's type.
    package var type: String
    package var durable: Bool
    package var autoDelete: Bool
    /// Only check that it exists.
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

/// queue.declare
package struct QueueDeclaration: Sendable, Hashable {
    /// Empty: the broker names it, anew on every connection.
    package var name: String
    package var durable: Bool
    package var exclusive: Bool
    package var autoDelete: Bool
    /// Only check that it exists.
    package var passive: Bool
    package var arguments: [String: AMQPValue]

    package init(
        name: String, durable: Bool = false, exclusive: Bool = false, autoDelete: Bool = false, passive: Bool = false,
        arguments: [String: AMQPValue] = [:]
    ) {
        self.name = name
        self.durable = durable
        self.exclusive = exclusive
        self.autoDelete = autoDelete
        self.passive = passive
        self.arguments = arguments
    }
}

/// queue.bind
package struct QueueBinding: Sendable, Hashable {
    /// Empty: the last queue of the same topology that the broker named.
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

/// basic.consume, with its basic.qos
package struct ConsumerDeclaration: Sendable, Hashable {
    /// Empty: the last queue of the same topology that the broker named.
    package var queue: String
    /// Empty: the broker makes one up.
    package var tag: String
    package var exclusive: Bool
    /// Unacknowledged deliveries of this consumer; 0 means the connection's `deliveryBuffer`.
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

/// What a connection declares, in this order, each time it is established.
package struct AMQPTopology: Sendable, Hashable {
    package var exchanges: [ExchangeDeclaration]
    package var queues: [QueueDeclaration]
    package var bindings: [QueueBinding]
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

    /// Throws unless every name fits AMQP's short string and every table a frame of `frameMax` bytes.
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
