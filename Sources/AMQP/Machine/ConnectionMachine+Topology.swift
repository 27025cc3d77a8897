internal import DequeModule
internal import Logging

/// Declarations, and queues that cannot be reached for now.
extension ConnectionMachine {
    private static let retryInterval = Duration.seconds(5)
    private static let reopenTopology: [Step] = [
        .action(.confirmChannelClose(Session.Channel.topology)), .action(.openChannel(Session.Channel.topology)),
    ]

    /// Handles the result of ``Action/declare(_:)``, the names the broker gave. A queue whose home node is down is postponed
    /// while there are others to consume from.
    ///
    /// - Throws: The ``AMQPError`` that must end the connection.
    mutating func declared(_ unit: TopologyRegistry.Unit, _ result: Result<[String], AMQPError>) throws(AMQPError) {
        switch result {
        case .success(let names):
            queueNames[unit.id] = names
            guard unavailable.removeValue(forKey: unit.id) != nil else { return }
            context.logger.notice("the queue is back", metadata: ["queue": "\(unit.queueNames)"])
        case .failure(let error):
            if declaring?.unit.id == unit.id {
                try refuseDeclaration(error)
            } else {
                try setAside(unit, error)
            }
            insert(Self.reopenTopology)
        }
    }

    /// Marks a unit's queue as unreachable.
    ///
    /// - Throws: The error itself if it has another cause, or if nothing is left to consume from.
    mutating func setAside(_ unit: TopologyRegistry.Unit, _ error: AMQPError) throws(AMQPError) {
        guard unit.isGated, hasOthers(than: unit) else { throw error }
        if error.isInternal, !unit.topology.queues.isEmpty {
            let pause = registry.quarantine.add(unit.id, why: "RabbitMQ fails at \(unit.queueNames)", at: clock())
            context.logger.warning(
                "RabbitMQ fails at the queue: it is left alone for \(pause.components.seconds) s",
                metadata: ["queue": "\(unit.queueNames)", "reason": "\(error.message)"])
        }
        guard error.isHomeNodeDown else { throw error }
        nextRetry = clock() + Self.retryInterval
        guard unavailable.updateValue(unit.homeNodeDown, forKey: unit.id) == nil else { return }
        context.logger.warning(
            "the queue's home node is down: nothing is consumed from it until that is back",
            metadata: ["queue": "\(unit.queueNames)", "reason": "\(error.message)"])
    }

    private func hasOthers(than unit: TopologyRegistry.Unit) -> Bool {
        registry.units.contains { !$0.topology.consumers.isEmpty && $0.id != unit.id && unavailable[$0.id] == nil }
    }

    /// Whether a unit is to be left alone for now; it is retried later.
    mutating func isQuarantined(_ unit: TopologyRegistry.Unit) -> Bool {
        guard let hold = registry.quarantine.hold(on: unit.id, at: clock()), hasOthers(than: unit) else { return false }
        unavailable[unit.id] = hold.why
        nextRetry = min(nextRetry ?? hold.until, hold.until)
        return true
    }

    mutating func retryUnavailable() {
        nextRetry = nil
        steps.append(contentsOf: registry.units.filter { unavailable[$0.id] != nil }.map(Step.declareUnlessQuarantined))
        steps.append(.startConsumers)
    }
}

extension TopologyRegistry.Unit {
    var queueNames: String { topology.queues.map(\.name).joined(separator: ", ") }
    /// The wording in /readyz.
    var homeNodeDown: String { "home node down of \(queueNames)" }
}
