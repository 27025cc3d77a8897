internal import Basics
internal import DequeModule
internal import Logging

/// The connection's protocol without its socket: decides how to react to the broker's frames and callers' commands.
///
/// Its owner passes in frames and commands and after each carries out ``nextAction()`` until there is none. Deliveries, replies
/// to callers and events go out through the context. Only declarations and consumer starts report a result back; any other action
/// that fails ends the connection, and the owner must then call ``abandon(_:)``.
struct ConnectionMachine {
    struct ActiveConsumer {
        let unit: TopologyRegistry.Unit
        let index: Int
        var declaration: ConsumerDeclaration { unit.topology.consumers[index] }
        var inStream: SettlementLedger.StreamConsumer { .init(unit: unit.id, index: index) }
        var readsStream: Bool { declaration.arguments[ConnectionMachine.streamOffset] != nil }
    }

    /// Something to write to the broker, named after AMQP's methods.
    enum Action {
        case openChannel(UInt16)
        case selectConfirms
        /// Exchanges, queues and bindings; its result goes to ``declared(_:_:)``.
        case declare(TopologyRegistry.Unit)
        /// Whether a queue can be reached. The answer is a frame, ``IncomingFrame/queueFound`` or the end of its channel.
        case ask(queue: String, UInt16)
        /// basic.qos and basic.consume; the tag goes to ``started(_:_:)``.
        case consume(ActiveConsumer, queue: String, prefetch: UInt16)
        /// basic.cancel, waiting for the answer.
        case cancel(tag: String)
        /// basic.cancel without waiting; the answer is a frame that follows all earlier deliveries.
        case requestCancel(tag: String)
        case confirmCancel(tag: String)
        case confirmFlow(UInt16, active: Int32)
        /// channel.close-ok; discards the channel's half-read content.
        case confirmChannelClose(UInt16)
        case confirmConnectionClose
        case acknowledge(SettlementLedger.Acknowledgement)
        case reject(UInt64, requeue: Bool)
        case publish(PendingPublish)
    }

    enum Step {
        case action(Action)
        /// Declares a unit, unless it is in quarantine.
        case approach(TopologyRegistry.Unit)
        /// Starts the consumers that should run but do not, one after the other.
        case startConsumers
        /// Answers the caller of a declaration.
        case finishDeclaration
        /// Sends the publishes that were held while the broker blocked publishers.
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
    /// In order; steps that result from an answer go first.
    var steps: Deque<Step> = []
    var confirms = ConfirmTracker()
    /// Publishes that wait for connection.unblocked.
    var held: Deque<PendingPublish> = []
    /// Acknowledgements still to be written.
    var acknowledged: [DeliveryTag] = []
    var isBlocked = false
    /// By consumer tag.
    var consumers: [String: ActiveConsumer] = [:]
    /// Ended consumers whose deliveries may still be in flight.
    var cancelled: [String: ActiveConsumer] = [:]
    /// Nil leaves the bound to the consumers' prefetch.
    var window: DeliveryWindow?
    /// Consumers cancelled to change the window; their last deliveries are still in flight.
    var ending: Set<String> = []
    /// Whether consumers may have to be started once the window is open again.
    var mayHaveToStart = false
    /// The names the broker gave, by unit.
    var queueNames: [Int: [String]] = [:]
    /// Why queues cannot be reached, by unit.
    var unavailable: [Int: String] = [:]
    /// When those are retried.
    var nextRetry: ContinuousClock.Instant?
    /// The units whose queues the broker has been asked about, by channel.
    var asked: [UInt16: TopologyRegistry.Unit] = [:]
    /// The channels open for questions.
    var questionChannels: Set<UInt16> = []
    /// A caller's declaration, until its consumers run.
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

    /// The next action to carry out; nil when there is none.
    ///
    /// - Throws: The ``AMQPError`` that must end the connection.
    mutating func nextAction() throws(AMQPError) -> Action? {
        while let step = steps.popFirst() {
            // Each may take a slow broker up to its limits, and a connect has many: all together are no standstill.
            core.noteTurn()
            switch step {
            case .action(let action): return action
            case .approach(let unit): approach(unit)
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
                // A caller who wanted something else since the consumers were started found no connection to ask.
                if core.withState(\.wantsConsuming) { steps.append(.startConsumers) } else { cancelGated() }
            case .end(let error): throw error
            }
        }
        return nil
    }

    mutating func write(_ actions: Action...) { steps.append(contentsOf: actions.map(Step.action)) }

    /// Puts steps in front of all others.
    mutating func insert(_ first: [Step]) { steps.prepend(contentsOf: first) }

    /// Opens the channels, declares the topology, and starts its consumers.
    ///
    /// - Throws: ``AMQPError`` `invalidArgument` if the topology does not fit the negotiated frame size.
    mutating func establish() throws(AMQPError) {
        for unit in registry.units { try unit.topology.validate(frameMax: frameMax) }
        write(
            .openChannel(Session.Channel.consume), .openChannel(Session.Channel.publish),
            .openChannel(Session.Channel.topology), .selectConfirms)
        epoch = core.beginEpoch()
        steps.append(contentsOf: registry.units.map(Step.approach))
        steps.append(contentsOf: [.startConsumers, .connected])
    }

    /// Does what is due between reads: acknowledgements, the window, deadlines.
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

    /// When ``turn()`` next has something to do, unless something else happens first.
    var nextDeadline: ContinuousClock.Instant? {
        [nextRetry, confirms.nextDeadline, held.first?.deadline].compactMap(\.self).min()
    }

    /// Whether no publish waits for its outcome.
    var isQuiet: Bool { confirms.isEmpty && held.isEmpty }

    /// Ends the connection's state and fails everything that is waiting.
    mutating func abandon(_ error: AMQPError) {
        let underWay = confirms.reset().map(\.publish.reply)
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
