internal import Logging

extension LiveConnection {
    /// Carries commands out; if the connection is lost on the way, the rest is answered with that.
    func execute(_ commands: [Command]) throws(AMQPError) {
        for (index, command) in commands.enumerated() {
            do throws(AMQPError) {
                try execute(command)
                // A long batch of writes must not keep confirms and heartbeats waiting.
                if index % 256 == 255 { try readFrames() }
            } catch {
                let rest = Array(commands[(index + 1)...])
                core.withState { state in
                    state.publishesInFlight -= rest.count { if case .publish = $0 { true } else { false } }
                }
                IOLoop.refuse(rest, .unsent(error))
                throw error
            }
        }
    }

    private func execute(_ command: Command) throws(AMQPError) {
        switch command {
        case .publish(let publish):
            if isBlocked { held.append(publish) } else { try send(publish) }
        case .acknowledge(let tag):
            acknowledged.append(tag)
        case .reject(let tag, let requeue):
            if core.withState({ $0.ledger.write(tag) }) { try session.reject(tag.value, requeue: requeue) }
        case .declare(let topology, let isKept, let reply):
            try declare(topology, isKept: isKept, reply)
        case .startConsuming(let reply):
            defer { reply.resume(returning: .success(())) }
            try startConsumers()
        case .stopConsuming(let reply):
            defer { reply.resume(returning: .success(())) }
            try stopConsumers()
        }
    }

    private func declare(_ topology: AMQPTopology, isKept: Bool, _ reply: Reply<[String]>) throws(AMQPError) {
        do throws(AMQPError) { try topology.validate(frameMax: session.frameMax) } catch {
            return reply.resume(returning: .failure(error))
        }
        let unit = registry.add(topology)
        do throws(AMQPError) {
            let names = try session.declare(topology)
            queueNames[unit.id] = names
            try startConsumers()
            if !isKept { registry.remove(unit) }
            reply.resume(returning: .success(names))
        } catch {
            registry.remove(unit)
            reply.resume(returning: .failure(error))
            guard error.code == .channelClosed else { throw error }
            // Which of the two channels it was: declarations come before consumers.
            if queueNames.removeValue(forKey: unit.id) == nil {
                try session.confirmChannelClose(Session.Channel.topology)
                try session.openChannel(Session.Channel.topology)
            } else {
                try reopenConsumeChannel()
            }
        }
    }

    /// Starts the consumers that should run and do not.
    func startConsumers() throws(AMQPError) {
        let wantsGated = core.withState(\.wantsConsuming)
        for unit in registry.units where unavailable[unit.id] == nil && (!unit.isGated || wantsGated && isWindowOpen) {
            do throws(AMQPError) {
                try startConsumers(of: unit)
                registry.quarantine.clear(unit.id)
            } catch {
                try setAside(unit, error)
                // What other consumers were sent before may wait in librabbitmq, and must not be taken for the new channel's.
                guard consumers.isEmpty, cancelled.isEmpty else {
                    _ = registry.quarantine.add(unit.id, why: unit.homeNodeDown, at: .now)
                    throw error
                }
                return try reopenConsumeChannel()
            }
        }
        updateConsuming()
    }

    private func startConsumers(of unit: TopologyRegistry.Unit) throws(AMQPError) {
        for (index, declaration) in unit.topology.consumers.enumerated() where !isActive(unit, index) {
            let queue = declaration.queue.isEmpty ? queueNames[unit.id]?.last ?? "" : declaration.queue
            let prefetch = unit.isGated ? window?.prefetch ?? context.prefetch(declaration) : context.prefetch(declaration)
            let tag = try session.consume(declaration, queue: queue, prefetch: prefetch)
            consumers[tag] = ActiveConsumer(unit: unit, index: index)
        }
    }

    private func stopConsumers() throws(AMQPError) {
        for (tag, consumer) in consumers where consumer.unit.isGated {
            try session.cancel(tag: tag)
            retire(tag)
        }
        updateConsuming()
    }

    /// Of an ended consumer deliveries may still be on their way.
    func retire(_ tag: String) {
        if cancelled.count >= 64 { cancelled = [:] }
        cancelled[tag] = consumers.removeValue(forKey: tag)
    }

    private func isActive(_ unit: TopologyRegistry.Unit, _ index: Int) -> Bool {
        consumers.values.contains { $0.unit.id == unit.id && $0.index == index }
    }

    /// A window that is being changed, or is shut, is no reason to be taken for one that does not consume.
    func updateConsuming() {
        let units = registry.units.filter { $0.isGated && unavailable[$0.id] == nil }
        let wanted = units.reduce(0) { $0 + $1.topology.consumers.count }
        let active = consumers.values.count { $0.unit.isGated }
        let queues = unavailable.values.sorted()
        core.withState { state in
            state.isConsuming = wanted > 0 && (active == wanted || state.wantsConsuming && !isWindowOpen)
            state.unavailableQueues = queues
        }
    }

    /// The broker closed the consuming channel: open it again, under a new epoch, with all its consumers.
    func reopenConsumeChannel() throws(AMQPError) {
        try session.confirmChannelClose(Session.Channel.consume)
        reader.reset(Session.Channel.consume)
        consumers = [:]
        cancelled = [:]
        ending = []
        window = context.freshWindow
        acknowledged = []
        epoch = core.beginEpoch()
        context.deliveries.removeStale()
        updateConsuming()
        try session.openChannel(Session.Channel.consume)
        try startConsumers()
    }
}
