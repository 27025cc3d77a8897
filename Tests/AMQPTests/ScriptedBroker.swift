import Basics
import Logging
import Testing

@testable import AMQP

/// A ``ConnectionMachine`` and what stands for the broker: carries out its actions on paper, and answers as it is told.
final class ScriptedBroker {
    private final class Clock { var now = ContinuousClock.now }

    private let clock = Clock()
    let core = ConnectionCore(publishLimit: 100)
    let deliveries = AMQPDeliveries()
    let events: AsyncStream<AMQPConnectionEvent>
    let registry: TopologyRegistry
    private let context: IOContext
    private(set) var machine: ConnectionMachine
    /// Why the broker refuses a queue's declaration, or its consumer.
    var undeclarable: [String: AMQPError] = [:]
    var unconsumable: [String: AMQPError] = [:]
    /// Called while a consumer is being started.
    var whileStarting: () -> Void = {}
    private var consumersStarted = 0
    private var log: [String] = []

    init(
        queues: [String] = ["q"], autoDelete: Bool = false, arguments: [String: AMQPValue] = [:], prefetch: UInt16 = 10,
        bodyTail: Int = 0, deliveryBytes: Int? = nil, bodyLimit: Int = 1000
    ) {
        let topology = AMQPTopology(
            queues: queues.map { QueueDeclaration(name: $0, autoDelete: autoDelete) },
            consumers: queues.map { ConsumerDeclaration(queue: $0, arguments: arguments) })
        let continuation: AsyncStream<AMQPConnectionEvent>.Continuation
        (events, continuation) = AsyncStream.makeStream()
        var configuration = AMQPConfiguration(endpoints: [])
        (configuration.bodyLimit, configuration.bodyTail, configuration.deliveryBytes) = (bodyLimit, bodyTail, deliveryBytes)
        context = IOContext(
            configuration: configuration, topology: topology, defaultPrefetch: prefetch, core: core, deliveries: deliveries,
            events: continuation, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        registry = TopologyRegistry(topology)
        machine = Self.machine(context, registry, clock)
        core.withState { $0.wantsConsuming = true }
    }

    var now: ContinuousClock.Instant {
        get { clock.now }
        set { clock.now = newValue }
    }

    private static func machine(_ context: IOContext, _ registry: TopologyRegistry, _ clock: Clock) -> ConnectionMachine {
        ConnectionMachine(
            context: context, registry: registry,
            endpoint: AMQPEndpoint(host: "broker", credentials: AMQPCredentials(username: "", password: "")), frameMax: 131_072,
            clock: { clock.now })
    }

    /// What was written since the last look.
    func written() -> [String] {
        defer { log = [] }
        return log
    }

    /// A new connection, with what the one before has left.
    func connect() throws(AMQPError) {
        machine = Self.machine(context, registry, clock)
        try machine.establish()
        try carryOut()
    }

    func send(_ frame: IncomingFrame) throws(AMQPError) {
        machine.handle(frame)
        try carryOut()
    }

    /// - Parameter offset: of a stream.
    func deliver(
        _ value: UInt64, body: Int = 1, tag: String = "c1", redelivered: Bool = false, offset: Int64? = nil
    ) throws(AMQPError) {
        let deliver = IncomingFrame.Deliver(
            consumerTag: tag, deliveryTag: value, redelivered: redelivered, exchange: "", routingKey: "q")
        var message = AMQPMessage(body: Array(repeating: 0, count: body))
        if let offset { message.properties.headers["x-stream-offset"] = .int64(offset) }
        try send(.delivered(message, deliver))
    }

    /// Hands over the commands that callers have posted.
    func execute() throws(AMQPError) {
        for command in core.takeCommands().commands {
            machine.execute(command)
            try carryOut()
        }
    }

    /// Lets the machine have its turn, after the commands.
    func turn() throws(AMQPError) {
        try execute()
        machine.turn()
        try carryOut()
    }

    func publish(
        _ body: String = "m", exchange: String = "", routingKey: String = "q", mandatory: Bool = false,
        within: Duration = .seconds(30)
    ) throws(AMQPError) -> Reply<PublishConfirmation> {
        let publish = PendingPublish(
            message: AMQPMessage(body: Array(body.utf8)), exchange: exchange, routingKey: routingKey, mandatory: mandatory,
            deadline: now + within)
        core.withState { $0.publishesInFlight += 1 }
        machine.execute(.publish(publish))
        try carryOut()
        return publish.reply
    }

    func declare(_ topology: AMQPTopology) throws(AMQPError) -> Reply<[String]> {
        let reply = Reply<[String]>()
        machine.execute(.declare(topology, isKept: true, reply))
        try carryOut()
        return reply
    }

    /// As a reader does: claims the right, then posts.
    func acknowledge(_ value: UInt64, epoch: UInt64? = nil) -> Bool {
        let tag = DeliveryTag(epoch: epoch ?? machine.epoch, value: value)
        return core.post(.acknowledge(tag)) { $0.ledger.claim(tag) }
    }

    func reject(_ value: UInt64, requeue: Bool) -> Bool {
        let tag = DeliveryTag(epoch: machine.epoch, value: value)
        return core.post(.reject(tag, requeue: requeue)) { $0.ledger.claim(tag) }
    }

    func stopConsuming() throws(AMQPError) -> Reply<Void> {
        let reply = Reply<Void>()
        core.withState { $0.wantsConsuming = false }
        machine.execute(.stopConsuming(reply))
        try carryOut()
        return reply
    }

    func lose(_ error: AMQPError = AMQPError(code: .connectionClosed, message: "reset")) { machine.abandon(error) }

    private func start(of consumer: ConnectionMachine.ActiveConsumer) -> String {
        switch machine.declaration(of: consumer).arguments["x-stream-offset"] {
        case .int64(let offset): " from \(offset)"
        case .string(let name): " from \(name)"
        default: ""
        }
    }

    private func carryOut() throws(AMQPError) {
        while let action = try machine.nextAction() {
            switch action {
            case .openChannel(let channel): log.append("open \(channel)")
            case .selectConfirms: log.append("confirm.select")
            case .declare(let unit):
                let name = unit.queueNames
                if !unit.topology.queues.isEmpty { log.append("declare \(name)") }
                try machine.declared(unit, undeclarable[name].map { .failure($0) } ?? .success([]))
            case .ask(let queue, _): log.append("ask \(queue)")
            case .consume(let consumer, let queue, let prefetch):
                log.append("consume \(queue) \(prefetch)\(start(of: consumer))")
                consumersStarted += 1
                whileStarting()
                try machine.started(consumer, unconsumable[queue].map { .failure($0) } ?? .success("c\(consumersStarted)"))
            case .cancel(let tag), .requestCancel(let tag): log.append("cancel \(tag)")
            case .confirmCancel(let tag): log.append("cancel-ok \(tag)")
            case .confirmFlow(let channel, let active): log.append("flow-ok \(channel) \(active)")
            case .confirmChannelClose(let channel): log.append("close-ok \(channel)")
            case .confirmConnectionClose: log.append("close-ok")
            case .acknowledge(let acknowledgement):
                log.append("ack \(acknowledgement.value)\(acknowledgement.multiple ? " multiple" : "")")
            case .reject(let value, let requeue): log.append("reject \(value)\(requeue ? " requeue" : "")")
            case .publish(let publish): log.append("publish \(String(decoding: publish.message.body, as: UTF8.self))")
            }
        }
    }
}
