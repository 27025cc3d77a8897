internal import Logging

/// Queues that cannot be had for now, and the others beside them.
extension LiveConnection {
    private static let retryInterval = Duration.seconds(5)

    /// Declares a unit; one whose home node is down is left for later while there are others to consume from.
    func declare(_ unit: TopologyRegistry.Unit) throws(AMQPError) {
        do throws(AMQPError) {
            queueNames[unit.id] = try session.declare(unit.topology)
            guard let queue = unavailable.removeValue(forKey: unit.id) else { return }
            context.logger.notice("the queue is back: its home node is up again", metadata: ["queue": "\(queue)"])
        } catch {
            try setAside(unit, error)
            try session.confirmChannelClose(Session.Channel.topology)
            try session.openChannel(Session.Channel.topology)
        }
    }

    /// Notes that a unit's queue is out of reach; throws the error if it is not that, or if nothing is left to consume from.
    func setAside(_ unit: TopologyRegistry.Unit, _ error: AMQPError) throws(AMQPError) {
        let others = registry.units.filter { !$0.topology.consumers.isEmpty && $0.id != unit.id && unavailable[$0.id] == nil }
        guard error.isHomeNodeDown, unit.isGated, !others.isEmpty else { throw error }
        let queue = unit.topology.queues.map(\.name).joined(separator: ", ")
        nextRetry = .now + Self.retryInterval
        guard unavailable.updateValue(queue, forKey: unit.id) == nil else { return }
        context.logger.warning(
            "the queue's home node is down: nothing is consumed from it until that is back",
            metadata: ["queue": "\(queue)", "reason": "\(error.message)"])
    }

    func retryUnavailable() throws(AMQPError) {
        nextRetry = nil
        for unit in registry.units where unavailable[unit.id] != nil { try declare(unit) }
        try startConsumers()
    }
}
