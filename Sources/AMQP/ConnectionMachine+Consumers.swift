internal import DequeModule
internal import Logging

/// Which consumers run, and how much the broker may deliver ahead.
extension ConnectionMachine {
    /// Whether consumers may run: the window is not shut, and nothing of another width is on its way.
    var isWindowOpen: Bool { window?.width != .shut && ending.isEmpty }

    /// Whether one more delivery may be held. One that may not goes back to its queue at once, whose consumer has ended by then.
    mutating func hasRoom() -> Bool {
        guard let window else { return true }
        // One that came after one that was given back would overtake it.
        if window.width == .shut { return false }
        guard window.isFull(core.withState(\.ledger.held)) else { return true }
        turnWindow(to: .shut)
        return false
    }

    mutating func adjustWindow() {
        if let window, ending.isEmpty, let width = window.better(core.withState(\.ledger.held)) { turnWindow(to: width) }
        guard mayHaveToStart, isWindowOpen else { return }
        mayHaveToStart = false
        steps.append(.startConsumers)
    }

    /// A consumer's prefetch is fixed at its start: all end, and start anew when what they were sent has come.
    private mutating func turnWindow(to width: DeliveryWindow.Width) {
        context.logger.debug("deliveries ahead: \(width)")
        window?.turn(to: width)
        mayHaveToStart = true
        for (tag, consumer) in consumers where consumer.unit.isGated {
            write(.requestCancel(tag: tag))
            ending.insert(tag)
            retire(tag)
        }
    }

    /// The start of the first consumer that should run and does not.
    func consumerToStart() -> Action? {
        let wantsGated = core.withState(\.wantsConsuming)
        for unit in registry.units where unavailable[unit.id] == nil && (!unit.isGated || wantsGated && isWindowOpen) {
            guard let index = unit.topology.consumers.indices.first(where: { !isActive(unit, $0) }) else { continue }
            let consumer = ActiveConsumer(unit: unit, index: index)
            let declaration = consumer.declaration
            let prefetch = context.prefetch(declaration)
            return .consume(
                consumer, queue: declaration.queue.isEmpty ? queueNames[unit.id]?.last ?? "" : declaration.queue,
                prefetch: unit.isGated ? window?.prefetch ?? prefetch : prefetch)
        }
        return nil
    }

    /// Takes the answer to ``Action/consume(_:queue:prefetch:)``: the consumer's tag.
    ///
    /// - Throws: why the connection has to end.
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
                // What other consumers were sent before may wait in librabbitmq, and must not be taken for the new channel's.
                if !consumers.isEmpty || !cancelled.isEmpty {
                    _ = registry.quarantine.add(unit.id, why: unit.homeNodeDown, at: clock())
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

    /// Of an ended consumer deliveries may still be on their way.
    mutating func retire(_ tag: String) {
        if cancelled.count >= 64 { cancelled = [:] }
        cancelled[tag] = consumers.removeValue(forKey: tag)
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
