/// A question that a broker can answer without being changed; see ``AMQPProbe``.
package enum AMQPQuestion: Sendable, Hashable {
    /// Does it exist as declared here, or may this user declare it?
    case exchange(ExchangeDeclaration)
    /// Does it exist as declared here, or may this user declare it?
    case queue(QueueDeclaration)
    /// May the queue be bound to the exchange with this key?
    case binding(QueueBinding)
    /// May the queue be consumed from?
    case consumer(ConsumerDeclaration)
    /// How many consumers does the queue have?
    case consumers(queue: String)
    /// May messages be published to the exchange with this key?
    case publish(exchange: String, routingKey: String)

    /// The queue that it is about, if any.
    package var queue: String? {
        switch self {
        case .queue(let queue): queue.name
        case .binding(let binding): binding.queue
        case .consumer(let consumer): consumer.queue
        case .consumers(let queue): queue
        case .exchange, .publish: nil
        }
    }
}

/// The broker's answer to an ``AMQPQuestion``.
package enum AMQPAnswer: Sendable {
    /// Permitted, or it already exists as declared.
    case yes
    /// A number that was asked for.
    case count(Int)
    /// The object does not exist yet; nothing is known to forbid it.
    case notThereYet
    /// Refused, or it exists with other options.
    case no(AMQPError)
}
