internal import Basics
internal import DequeModule
internal import Logging

/// A connection's protocol without its socket: decides on all that the broker sends and callers ask.
///
/// Its owner hands in frames and commands, and after each carries out ``nextAction()`` until there is none. Deliveries, callers' answers
/// and events go out through the context. Only declarations and the start of consumers have answers that it waits for; any other action
/// that fails ends the connection, and then ``abandon(_:)`` is to be called.
struct ConnectionMachine {
    struct ActiveConsumer {
        let unit: TopologyRegistry.Unit
        let index: Int
        var declaration: ConsumerDeclaration { unit.topology.consumers[index] }
    }

    /// What is to be written to the broker, by AMQP's methods.
    enum Action {
        case openChannel(UInt16)
        case selectConfirms
        /// Exchanges, queues and bindings; its result goes to ``declared(_:_:)``.
        case declare(TopologyRegistry.Unit)
        /// basic.qos and basic.consume; the tag goes to ``started(_:_:)``.
        case consume(ActiveConsumer, queue: String, prefetch: UInt16)
        /// basic.cancel, waited for.
        case cancel(tag: String)
        /// basic.cancel, whose answer is a frame behind what had been delivered before it.
        case requestCancel(tag: String)
        case confirmCancel(tag: String)
        case confirmFlow(UInt16, active: Int32)
        /// channel.close-ok; half-read content of the channel is forgotten.
        case confirmChannelClose(UInt16)
        case confirmConnectionClose
        case acknowledge(SettlementLedger.Acknowledgement)
        case reject(UInt64, requeue: Bool)
        case publish(PendingPublish)
    }

    enum Step {
        case action(Action)
        /// Declares a unit, unless it is to be left alone.
        case declareUnlessQuarantined(TopologyRegistry.Unit)
        /// Starts the consumers that should run and do not, one after the other.
        case startConsumers
        /// Answers the caller who declared something.
        case finishDeclaration
        /// Sends what was held while the broker blocked publishers.
        case sendHeld
        case answer(Reply<Void>)
        case connected
        case end(AMQPError)
    }

    let context: IOContext
    let registry: TopologyRegistry
    let endpoint: AMQPEndpoint
    let frameMax: Int
    let clock: () -> ContinuousClock.Instant
    /// In order; what an answer brings about goes before the rest.
    var steps: Deque<Step> = []
    var confirms = ConfirmTracker<Reply<PublishConfirmation>>()
    /// Publishes that wait for connection.unblocked.
    var held: Deque<PendingPublish> = []
    /// Acknowledgements that are yet to be written.
    var acknowledged: [DeliveryTag] = []
    var isBlocked = false
    /// By consumer tag.
    var consumers: [String: ActiveConsumer] = [:]
    /// Ended ones, of which deliveries may still be on their way.
    var cancelled: [String: ActiveConsumer] = [:]
    /// Nil leaves the bound to the consumers' prefetch.
    var window: DeliveryWindow?
    /// Consumers that were cancelled to change the window; what they were sent before is still on its way.
    var ending: Set<String> = []
    /// Consumers are to be started once the window is open again.
    var mayHaveToStart = false
    /// The names the broker gave, by unit.
    var queueNames: [Int: [String]] = [:]
    /// Queues that are out of reach, and why, by unit.
    var unavailable: [Int: String] = [:]
    /// When those are tried again.
    var nextRetry: ContinuousClock.Instant?
    /// What a caller has just declared, until its consumers run.
    var declaring: (unit: TopologyRegistry.Unit, isKept: Bool, reply: Reply<[String]>)?
    var epoch: UInt64 = 0
    var consumeChannelOpened: ContinuousClock.Instant

    var core: ConnectionCore { context.core }

    init(
        context: IOContext, registry: TopologyRegistry, endpoint: AMQPEndpoint, frameMax: Int,
        clock: @escaping () -> ContinuousClock.Instant = { .now }
    ) {
        self.context = context
        self.registry = registry
        self.endpoint = endpoint
        self.frameMax = frameMax
        self.clock = clock
        window = context.freshWindow
        consumeChannelOpened = clock()
    }

    /// The next thing to be carried out; nil when all is done.
    ///
    /// - Throws: why the connection has to end.
    mutating func nextAction() throws(AMQPError) -> Action? {
        while let step = steps.popFirst() {
            switch step {
            case .action(let action): return action
            case .declareUnlessQuarantined(let unit): if !isQuarantined(unit) { return .declare(unit) }
            case .startConsumers:
                if let action = consumerToStart() { return action }
                updateConsuming()
            case .finishDeclaration: finishDeclaration()
            case .sendHeld:
                guard let publish = held.popFirst() else { continue }
                insert([.sendHeld])
                if let action = sending(publish) { return action }
            case .answer(let reply): reply.resume(.success(()))
            case .connected:
                core.connected()
                context.events.yield(.connected(epoch: epoch, endpoint: endpoint))
            case .end(let error): throw error
            }
        }
        return nil
    }

    mutating func write(_ actions: Action...) { steps.append(contentsOf: actions.map(Step.action)) }

    /// Puts steps before all others.
    mutating func insert(_ first: [Step]) { steps.prepend(contentsOf: first) }

    /// Opens the channels, declares the topology, and starts its consumers.
    ///
    /// - Throws: `invalidArgument` when the topology does not fit the frames that were agreed on.
    mutating func establish() throws(AMQPError) {
        for unit in registry.units { try unit.topology.validate(frameMax: frameMax) }
        write(
            .openChannel(Session.Channel.consume), .openChannel(Session.Channel.publish),
            .openChannel(Session.Channel.topology), .selectConfirms)
        epoch = core.beginEpoch()
        steps.append(contentsOf: registry.units.map(Step.declareUnlessQuarantined))
        steps.append(contentsOf: [.startConsumers, .connected])
    }

    /// Does what is due whenever there is nothing to read: acknowledgements, the window, deadlines.
    mutating func turn() {
        if !acknowledged.isEmpty {
            let tags = acknowledged
            acknowledged.removeAll(keepingCapacity: true)
            for acknowledgement in core.withState({ $0.ledger.write(acknowledged: tags) }) {
                write(.acknowledge(acknowledgement))
            }
        }
        adjustWindow()
        let now = clock()
        expirePublishes(now)
        if let due = nextRetry, now >= due { retryUnavailable() }
    }

    /// When ``turn()`` has something to do, if nothing else comes before.
    var nextDeadline: ContinuousClock.Instant? {
        [nextRetry, confirms.nextDeadline, held.first?.deadline].compactMap(\.self).min()
    }

    /// Whether no publish waits for its outcome.
    var isQuiet: Bool { confirms.isEmpty && held.isEmpty }

    /// The connection is gone: everyone in wait learns it.
    mutating func abandon(_ error: AMQPError) {
        let underWay = confirms.reset().map(\.waiter)
        let unsent = held.map(\.reply)
        held = []
        let outcome = AMQPError(
            code: .connectionClosed, message: error.message, replyCode: error.replyCode, isRetriable: true)
        let commands = core.disconnected()
        finish(underWay, .failure(outcome))
        finish(unsent, .failure(.unsent(error)))
        if let (unit, _, reply) = declaring {
            registry.remove(unit)
            reply.resume(.failure(error))
        }
        for case .answer(let reply) in steps { reply.resume(.success(())) }
        (declaring, steps) = (nil, [])
        refuse(commands, .unsent(error))
        context.deliveries.removeAll()
    }
}
