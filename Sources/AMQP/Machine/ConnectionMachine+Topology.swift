internal import DequeModule
internal import Logging

/// Declarations, and queues that cannot be reached for now.
extension ConnectionMachine {
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
    /// - Throws: The error itself if the connection does not survive it, if it has another cause, or if nothing is left to consume
    ///   from.
    mutating func setAside(_ unit: TopologyRegistry.Unit, _ error: AMQPError) throws(AMQPError) {
        guard unit.isGated else { throw error }
        guard hasOthers(than: unit) else {
            // One of these may be back by now, and the next connection is to find it.
            registry.quarantine.releaseUnreachable(at: clock())
            throw error
        }
        guard error.isHomeNodeDown else {
            leaveAlone(unit, error)
            throw error
        }
        homeNodeIsDown(unit, error)
    }

    /// Lets the next connection do without a unit that has cost this one its life.
    mutating func leaveAlone(_ unit: TopologyRegistry.Unit, _ error: AMQPError) {
        guard let queue = unit.topology.queues.first?.name, error.isInternal || error.code == .timedOut else { return }
        // A queue without a name cannot be asked about.
        let isSilent = error.code == .timedOut && !queue.isEmpty
        let pause = registry.quarantine.add(
            unit.id, why: isSilent ? unit.noAnswer : "RabbitMQ fails at \(unit.queueNames)", at: clock(), asksFirst: isSilent)
        let what = isSilent ? "does not answer for the queue" : "fails at the queue"
        context.logger.warning(
            "RabbitMQ \(what): it is left alone for \(pause.components.seconds) s",
            metadata: ["queue": "\(unit.queueNames)", "reason": "\(error.message)"])
    }

    func hasOthers(than unit: TopologyRegistry.Unit) -> Bool {
        registry.units.contains { !$0.topology.consumers.isEmpty && $0.id != unit.id && unavailable[$0.id] == nil }
    }
}

extension TopologyRegistry.Unit {
    var queueNames: String { topology.queues.map(\.name).joined(separator: ", ") }
    /// The wording in /readyz.
    var homeNodeDown: String { "home node down of \(queueNames)" }
    var noAnswer: String { "RabbitMQ does not answer for \(queueNames)" }
}
