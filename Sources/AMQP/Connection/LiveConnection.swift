internal import Logging

/// Serves an established connection on the IO thread, from its declarations to its end: the socket side of ``ConnectionMachine``.
final class LiveConnection {
    private let session: Session
    private let context: IOContext
    private var reader: FrameReader
    private var machine: ConnectionMachine

    init(session: Session, context: IOContext, registry: TopologyRegistry) {
        self.session = session
        self.context = context
        reader = FrameReader(bodyLimit: context.configuration.bodyLimit, tailLimit: context.configuration.bodyTail)
        machine = ConnectionMachine(
            context: context, registry: registry, endpoint: session.endpoint, frameMax: session.frameMax)
    }

    func establish() throws(AMQPError) {
        try machine.establish()
        try carryOut()
    }

    /// Serves until a requested close is complete.
    ///
    /// - Throws: The ``AMQPError`` that ended the connection otherwise.
    func pump() throws(AMQPError) {
        let tick = session.heartbeat / 2
        var nextTick: ContinuousClock.Instant? = tick > .zero ? .now + tick : nil
        var closeDeadline: ContinuousClock.Instant?
        while true {
            let (commands, isClosing) = context.core.takeCommands()
            try execute(commands)
            if session.hasBufferedInput { try readFrames() }
            machine.turn()
            try carryOut()
            let now = ContinuousClock.now
            if isClosing {
                let deadline = closeDeadline ?? now + min(.seconds(5), context.configuration.rpcTimeout)
                closeDeadline = deadline
                if machine.isQuiet || now >= deadline {
                    session.setTimeout(.seconds(2))
                    session.close(deleting: context.topology.queues.filter(\.isDeletedAtClose).map(\.name))
                    return
                }
            }
            if let due = nextTick, now >= due {
                // librabbitmq would only send one per full interval; twice as often is what RabbitMQ itself does.
                try session.sendHeartbeat()
                try readFrames()
                nextTick = now + tick
                continue
            }
            guard !session.hasBufferedInput, context.core.prepareToSleep(knowsClosing: isClosing) else { continue }
            let deadline = [nextTick, closeDeadline, machine.nextDeadline].compactMap(\.self).min()
            let readable = wait(for: [session.descriptor, context.core.wakeDescriptor], until: deadline)
            if readable[1] { context.core.drainWakeUps() }
            if readable[0] { try readFrames() }
        }
    }

    /// Rejects a delivery whose header librabbitmq cannot read, perhaps while it waited for an answer, or passes over it in its
    /// stream: else it would come again, and end the next connection.
    func rejectUnreadable(_ error: AMQPError) {
        guard error.code == .protocolViolation else { return }
        // What it had read before comes first.
        while session.hasQueuedFrames, (try? reader.next(session)) != nil {}
        guard let deliver = reader.awaitsHeader else { return }
        let isInStream = machine.passUnreadable(deliver)
        guard isInStream || (try? session.reject(deliver.deliveryTag, requeue: false)) != nil else { return }
        context.logger.error("rejected a delivery", metadata: ["reason": "headers nested too deeply: \(error)"])
        if !isInStream { session.finishWriting(within: .seconds(2)) }
    }

    /// Ends the connection's state and fails everything that is waiting.
    func abandon(_ error: AMQPError) { machine.abandon(error) }

    /// Passes callers' commands to the machine; if the connection is lost meanwhile, the rest is answered with that error.
    private func execute(_ commands: [Command]) throws(AMQPError) {
        for (index, command) in commands.enumerated() {
            do throws(AMQPError) {
                machine.execute(command)
                try carryOut()
                // A long batch of writes must not keep confirms and heartbeats waiting.
                if index % 256 == 255 { try readFrames() }
            } catch {
                machine.refuse(Array(commands[(index + 1)...]), .unsent(error))
                throw error
            }
        }
    }

    /// Reads what is available. poll is level-triggered, so only librabbitmq's own buffer must be emptied.
    private func readFrames() throws(AMQPError) {
        // Before the read: librabbitmq consumes heartbeats silently.
        if session.hasBufferedInput || wait(for: [session.descriptor], until: .now)[0] { context.silence.heard() }
        var count = 0
        repeat {
            guard let frame = try reader.next(session) else { return }
            machine.handle(frame)
            try carryOut()
            count += 1
        } while session.hasBufferedInput && count < 4096
    }

    /// Carries out the machine's actions one by one, since each result may change what comes next.
    private func carryOut() throws(AMQPError) {
        while let action = try machine.nextAction() {
            switch action {
            case .openChannel(let channel): try session.openChannel(channel)
            case .selectConfirms: try session.selectConfirms(Session.Channel.publish)
            case .declare(let unit):
                try machine.declared(unit, Result { () throws(AMQPError) in try session.declare(unit.topology) })
            case .ask(let queue, let channel): try session.ask(about: queue, on: channel)
            case .consume(let consumer, let queue, let prefetch):
                let tag = Result { () throws(AMQPError) in
                    try session.consume(machine.declaration(of: consumer), queue: queue, prefetch: prefetch)
                }
                try machine.started(consumer, tag)
            case .cancel(let tag): try session.cancel(tag: tag)
            case .requestCancel(let tag): try session.requestCancel(tag: tag)
            case .confirmCancel(let tag): try session.confirmCancel(tag: tag)
            case .confirmFlow(let channel, let active): try session.confirmFlow(channel, active: active)
            case .confirmChannelClose(let channel):
                try session.confirmChannelClose(channel)
                reader.reset(channel)
            case .confirmConnectionClose: session.confirmConnectionClose()
            case .acknowledge(let acknowledgement): try session.acknowledge(acknowledgement)
            case .reject(let value, let requeue): try session.reject(value, requeue: requeue)
            case .publish(let publish):
                try session.publish(
                    publish.message, exchange: publish.exchange, routingKey: publish.routingKey, mandatory: publish.mandatory)
            }
        }
    }
}
