internal import Logging

/// Queues that cannot be had for now, and the others beside them.
extension LiveConnection {
    private static let retryInterval = Duration.seconds(5)

    /// Declares a unit; one whose home node is down is left for later while there are others to consume from.
    func declare(_ unit: TopologyRegistry.Unit) throws(AMQPError) {
        do throws(AMQPError) {
            queueNames[unit.id] = try session.declare(unit.topology)
            guard unavailable.removeValue(forKey: unit.id) != nil else { return }
            context.logger.notice("the queue is back", metadata: ["queue": "\(unit.queueNames)"])
        } catch {
            try setAside(unit, error)
            try session.confirmChannelClose(Session.Channel.topology)
            try session.openChannel(Session.Channel.topology)
        }
    }

    /// Notes that a unit's queue is out of reach; throws the error if it is not that, or if nothing is left to consume from.
    func setAside(_ unit: TopologyRegistry.Unit, _ error: AMQPError) throws(AMQPError) {
        guard unit.isGated, hasOthers(than: unit) else { throw error }
        if error.isInternal, !unit.topology.queues.isEmpty {
            let pause = registry.quarantine.add(unit.id, why: "RabbitMQ fails at \(unit.queueNames)", at: .now)
            context.logger.warning(
                "RabbitMQ fails at the queue: it is left alone for \(pause.components.seconds) s",
                metadata: ["queue": "\(unit.queueNames)", "reason": "\(error.message)"])
        }
        guard error.isHomeNodeDown else { throw error }
        nextRetry = .now + Self.retryInterval
        guard unavailable.updateValue(unit.homeNodeDown, forKey: unit.id) == nil else { return }
        context.logger.warning(
            "the queue's home node is down: nothing is consumed from it until that is back",
            metadata: ["queue": "\(unit.queueNames)", "reason": "\(error.message)"])
    }

    private func hasOthers(than unit: TopologyRegistry.Unit) -> Bool {
        registry.units.contains { !$0.topology.consumers.isEmpty && $0.id != unit.id && unavailable[$0.id] == nil }
    }

    /// Whether a unit is to be left alone for now; it is tried again in time.
    func isQuarantined(_ unit: TopologyRegistry.Unit) -> Bool {
        guard let hold = registry.quarantine.hold(on: unit.id, at: .now), hasOthers(than: unit) else { return false }
        unavailable[unit.id] = hold.why
        nextRetry = min(nextRetry ?? hold.until, hold.until)
        return true
    }

    func retryUnavailable() throws(AMQPError) {
        nextRetry = nil
        for unit in registry.units where unavailable[unit.id] != nil && !isQuarantined(unit) { try declare(unit) }
        try startConsumers()
    }
}

extension TopologyRegistry.Unit {
    var queueNames: String { topology.queues.map(\.name).joined(separator: ", ") }
    /// What /readyz says of it.
    var homeNodeDown: String { "home node down of \(queueNames)" }
}
