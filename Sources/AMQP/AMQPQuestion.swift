/// What can be asked of a broker without a change to it; see ``AMQPProbe``.
package enum AMQPQuestion: Sendable, Hashable {
    /// Is it there and declared like this, or may it be declared?
    case exchange(ExchangeDeclaration)
    /// Is it there and declared like this, or may it be declared?
    case queue(QueueDeclaration)
    /// May the queue be bound to the exchange with this key?
    case binding(QueueBinding)
    /// May the queue be consumed from?
    case consumer(ConsumerDeclaration)
    /// May messages be published to the exchange with this key?
    case publish(exchange: String, routingKey: String)
}

/// The broker's answer to an ``AMQPQuestion``.
package enum AMQPAnswer: Sendable {
    /// It may be done, or is there already as asked.
    case yes
    /// What it is about is not there yet; nothing is known that would forbid it.
    case notThereYet
    case no(AMQPError)
}
