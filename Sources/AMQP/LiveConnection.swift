internal import DequeModule
internal import Logging

/// An established connection as the IO thread serves it, from the declarations to its end.
final class LiveConnection {
    struct ActiveConsumer {
        let unit: TopologyRegistry.Unit
        let index: Int
        var declaration: ConsumerDeclaration { unit.topology.consumers[index] }
    }

    let session: Session
    let context: IOContext
    let registry: TopologyRegistry
    var reader: FrameReader
    var confirms = ConfirmTracker<Reply<PublishConfirmation>>()
    /// Publishes that wait for connection.unblocked.
    var held: Deque<PendingPublish> = []
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
    var nextRetry: ContinuousClock.Instant?
    var epoch: UInt64 = 0
    var consumeChannelOpened = ContinuousClock.now

    var core: ConnectionCore { context.core }

    init(session: Session, context: IOContext, registry: TopologyRegistry) {
        self.session = session
        self.context = context
        self.registry = registry
        reader = FrameReader(bodyLimit: context.configuration.bodyLimit, tailLimit: context.configuration.bodyTail)
        window = context.freshWindow
    }

    func establish() throws(AMQPError) {
        for channel in [Session.Channel.consume, Session.Channel.publish, Session.Channel.topology] {
            try session.openChannel(channel)
        }
        try session.selectConfirms(Session.Channel.publish)
        epoch = core.beginEpoch()
        for unit in registry.units {
            try unit.topology.validate(frameMax: session.frameMax)
            if !isQuarantined(unit) { try declare(unit) }
        }
        try startConsumers()
        core.connected()
        context.events.yield(.connected(epoch: epoch, endpoint: session.endpoint))
    }

    /// Serves until a clean close was asked for and done.
    func pump() throws(AMQPError) {
        let tick = session.heartbeat / 2
        var nextTick: ContinuousClock.Instant? = tick > .zero ? .now + tick : nil
        var closeDeadline: ContinuousClock.Instant?
        while true {
            let (commands, isClosing) = core.takeCommands()
            try execute(commands)
            if session.hasBufferedInput { try readFrames() }
            try flushAcknowledgements()
            try adjustWindow()
            let now = ContinuousClock.now
            expirePublishes(now)
            if let due = nextRetry, now >= due { try retryUnavailable() }
            if isClosing {
                let deadline = closeDeadline ?? now + min(.seconds(5), context.configuration.rpcTimeout)
                closeDeadline = deadline
                if (confirms.isEmpty && held.isEmpty) || now >= deadline {
                    try flushAcknowledgements()
                    session.setTimeout(.seconds(2))
                    session.close()
                    return
                }
            }
            if let due = nextTick, now >= due {
                // librabbitmq would send one only every full interval; twice as often is what RabbitMQ does itself.
                try session.sendHeartbeat()
                try readFrames()
                nextTick = now + tick
                continue
            }
            guard !session.hasBufferedInput, core.prepareToSleep(knowsClosing: isClosing) else { continue }
            let deadline = [nextTick, nextRetry, closeDeadline, confirms.nextDeadline, held.first?.deadline].compactMap(\.self)
                .min()
            let readable = wait(for: [session.descriptor, core.wakeDescriptor], until: deadline)
            if readable[1] { core.drainWakeUps() }
            if readable[0] { try readFrames() }
        }
    }

    /// Reads what is there; poll is level-triggered, so only librabbitmq's own buffer must not be left with a frame in it.
    func readFrames() throws(AMQPError) {
        // Before the read: librabbitmq takes heartbeats in without a word.
        if session.hasBufferedInput || wait(for: [session.descriptor], until: .now)[0] { context.silence.heard() }
        var count = 0
        repeat {
            guard let frame = try reader.next(session) else { return }
            try handle(frame)
            count += 1
        } while session.hasBufferedInput && count < 4096
    }

    /// The connection is gone: everyone in wait learns it.
    func abandon(_ error: AMQPError) {
        let underWay = confirms.reset().map(\.waiter)
        let unsent = held.map(\.reply)
        held = []
        let outcome = AMQPError(
            code: .connectionClosed, message: error.message, replyCode: error.replyCode, isRetriable: true)
        let commands = core.disconnected()
        finish(underWay, .failure(outcome))
        finish(unsent, .failure(.unsent(error)))
        core.withState { state in
            state.publishesInFlight -= commands.count { if case .publish = $0 { true } else { false } }
        }
        IOLoop.refuse(commands, .unsent(error))
        context.deliveries.removeStale()
    }

    // MARK: Publishes

    func send(_ publish: PendingPublish) throws(AMQPError) {
        do throws(AMQPError) {
            try publish.message.properties.validate(frameMax: session.frameMax)
        } catch {
            return finish([publish.reply], .failure(error))
        }
        confirms.add(
            .init(
                waiter: publish.reply, exchange: publish.exchange, routingKey: publish.routingKey, message: publish.message,
                mandatory: publish.mandatory, deadline: publish.deadline))
        try session.publish(
            publish.message, exchange: publish.exchange, routingKey: publish.routingKey, mandatory: publish.mandatory)
    }

    func finish(_ replies: [Reply<PublishConfirmation>], _ result: Result<PublishConfirmation, AMQPError>) {
        guard !replies.isEmpty else { return }
        core.withState { $0.publishesInFlight -= replies.count }
        for reply in replies { reply.resume(returning: result) }
    }

    private func expirePublishes(_ now: ContinuousClock.Instant) {
        var expired = confirms.expire(now).map(\.waiter)
        while let first = held.first, first.deadline <= now {
            held.removeFirst()
            expired.append(first.reply)
        }
        let text = isBlocked ? "the broker blocks publishers" : "no confirm from the broker"
        finish(expired, .failure(AMQPError(code: .timedOut, message: text)))
    }

    private func flushAcknowledgements() throws(AMQPError) {
        guard !acknowledged.isEmpty else { return }
        let tags = acknowledged
        acknowledged.removeAll(keepingCapacity: true)
        for acknowledgement in core.withState({ $0.ledger.write(acknowledged: tags) }) {
            try session.acknowledge(acknowledgement)
        }
    }
}
