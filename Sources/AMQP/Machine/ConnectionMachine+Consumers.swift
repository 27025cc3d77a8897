internal import DequeModule
internal import Logging

/// Consumers, and how much the broker may deliver ahead.
extension ConnectionMachine {
    /// Whether consumers may run: the window is not shut, and none is being cancelled to change it.
    var isWindowOpen: Bool { window?.width != .shut && ending.isEmpty }

    /// Whether one more delivery may be held; otherwise it is requeued at once, its consumer having been cancelled.
    mutating func hasRoom() -> Bool {
        guard let window else { return true }
        // Otherwise it would overtake one that was requeued before it.
        if window.width == .shut { return false }
        guard window.isFull(core.withState(\.ledger.held)) else { return true }
        guard window.mayShut else {
            if window.width != .narrow { turnWindow(to: .narrow) }
            return true
        }
        turnWindow(to: .shut)
        return false
    }

    mutating func adjustWindow() {
        if let window, ending.isEmpty, let width = window.better(core.withState(\.ledger.held)) { turnWindow(to: width) }
        guard mayHaveToStart, isWindowOpen else { return }
        mayHaveToStart = false
        steps.append(.startConsumers)
    }

    /// A consumer's prefetch is fixed when it starts, so all are cancelled and restarted once their last deliveries have arrived.
    private mutating func turnWindow(to width: DeliveryWindow.Width) {
        context.logger.debug("deliveries ahead: \(width)")
        window?.turn(to: width)
        if window?.mayShut == false { return replaceConsumers() }
        mayHaveToStart = true
        for (tag, consumer) in consumers where consumer.unit.isGated {
            write(.requestCancel(tag: tag))
            ending.insert(tag)
            retire(tag)
        }
    }

    /// Starts consumers with the new prefetch before those that they replace are cancelled: no queue is without one. All are on one
    /// channel, so the messages still come in order. A stream's would come twice.
    private mutating func replaceConsumers() {
        var replaced: [String] = []
        for (tag, consumer) in consumers
        where consumer.unit.isGated && unavailable[consumer.unit.id] == nil && !consumer.readsStream {
            replaced.append(tag)
            retire(tag)
        }
        steps.append(.startConsumers)
        for tag in replaced { write(.requestCancel(tag: tag)) }
    }

    /// Starts the first consumer that should run but does not; nil if there is none.
    func consumerToStart() -> Action? {
        let wantsGated = core.withState(\.wantsConsuming)
        for unit in registry.units where unavailable[unit.id] == nil && (!unit.isGated || wantsGated && isWindowOpen) {
            guard let index = unit.topology.consumers.indices.first(where: { !isActive(unit, $0) }) else { continue }
            let consumer = ActiveConsumer(unit: unit, index: index)
            let queue = consumer.declaration.queue
            return .consume(
                consumer, queue: queue.isEmpty ? queueNames[unit.id]?.last ?? "" : queue, prefetch: prefetch(of: consumer))
        }
        return nil
    }

    private func prefetch(of consumer: ActiveConsumer) -> UInt16 {
        if core.withState({ $0.ledger.careful.contains(consumer.inStream) }) { return 1 }
        let prefetch = context.prefetch(consumer.declaration)
        return consumer.unit.isGated ? window?.prefetch ?? prefetch : prefetch
    }

    /// The consumer's argument and each message's header.
    static let streamOffset = "x-stream-offset"

    /// A stream is consumed where its consumer stopped, as oslo.messaging does: from the end, what was carried out would be again, and what
    /// came meanwhile might be skipped.
    func declaration(of consumer: ActiveConsumer) -> ConsumerDeclaration {
        var declaration = consumer.declaration
        guard consumer.readsStream else { return declaration }
        let (next, isCareful) = core.withState { state in
            (state.ledger.nextOffsets[consumer.inStream], state.ledger.careful.contains(consumer.inStream))
        }
        if let next {
            declaration.arguments[Self.streamOffset] = .int64(next)
        } else if isCareful {
            // The last messages would include what cannot be read.
            declaration.arguments[Self.streamOffset] = "next"
        }
        return declaration
    }

    /// Rejects a delivery. A stream has no rejections, and RabbitMQ ends a connection that tries: what was delivered stays in it.
    func rejection(of value: UInt64, requeue: Bool, inStream: Bool) -> Action {
        inStream ? .acknowledge(.init(value: value, multiple: false)) : .reject(value, requeue: requeue)
    }

    /// Passes over a stream's delivery that ends the connection, since it cannot be read.
    ///
    /// - Returns: false if it does not come from a stream, and so must be rejected.
    func passUnreadable(_ deliver: IncomingFrame.Deliver) -> Bool {
        guard let consumer = consumer(of: deliver), consumer.readsStream else { return false }
        core.withState { $0.ledger.passUnreadable(of: consumer.inStream) }
        return true
    }

    func consumer(of deliver: IncomingFrame.Deliver) -> ActiveConsumer? {
        consumers[deliver.consumerTag] ?? cancelled[deliver.consumerTag]
    }

    /// Handles the result of ``Action/consume(_:queue:prefetch:)``, the consumer's tag.
    ///
    /// - Throws: The ``AMQPError`` that must end the connection.
    mutating func started(_ consumer: ActiveConsumer, _ result: Result<String, AMQPError>) throws(AMQPError) {
        let unit = consumer.unit
        switch result {
        case .success(let tag):
            consumers[tag] = consumer
            if unit.topology.consumers.indices.allSatisfy({ isActive(unit, $0) }) { registry.quarantine.clear(unit.id) }
            insert([.startConsumers])
        case .failure(let error):
            do throws(AMQPError) {
                try setAside(unit, error)
                // Other consumers' deliveries may still be buffered in librabbitmq and must not be mistaken for the new
                // channel's.
                if !consumers.isEmpty || !cancelled.isEmpty {
                    _ = registry.quarantine.add(unit.id, why: unit.homeNodeDown, at: clock(), asksFirst: true)
                    throw error
                }
            } catch {
                try refuseDeclaration(error)
            }
            reopenConsumeChannel()
        }
    }

    private func isActive(_ unit: TopologyRegistry.Unit, _ index: Int) -> Bool {
        consumers.values.contains { $0.unit.id == unit.id && $0.index == index }
    }

    /// Cancels the consumers that callers start and stop.
    mutating func cancelGated() {
        for (tag, consumer) in consumers where consumer.unit.isGated {
            write(.cancel(tag: tag))
            retire(tag)
        }
        updateConsuming()
    }

    /// Remembers an ended consumer, since its deliveries may still be in flight.
    mutating func retire(_ tag: String) {
        if cancelled.count >= 64 { cancelled = [:] }
        cancelled[tag] = consumers.removeValue(forKey: tag)
    }

    /// Updates what callers see. While the window is shut or changing, the connection still counts as consuming.
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

    /// Reopens the consuming channel after the broker closed it: a new epoch, with all its consumers.
    mutating func reopenConsumeChannel() {
        consumers = [:]
        cancelled = [:]
        ending = []
        window = context.freshWindow
        acknowledged = []
        epoch = core.beginEpoch()
        context.deliveries.removeAll()
        updateConsuming()
        insert([
            .action(.confirmChannelClose(Session.Channel.consume)), .action(.openChannel(Session.Channel.consume)),
            .startConsumers,
        ])
    }
}
