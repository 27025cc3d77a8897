/// Everything declared on a connect, in the order it was requested.
final class TopologyRegistry {
    struct Unit {
        let id: Int
        let topology: AMQPTopology
        /// Its consumers run only between startConsuming and stopConsuming.
        let isGated: Bool
    }

    private(set) var units: [Unit]
    var quarantine = QueueQuarantine()
    private var nextID: Int

    /// Makes each queue a unit of its own, so that one that cannot be reached does not hold up the others.
    init(_ initial: AMQPTopology) {
        units = initial.byQueue.enumerated().map { Unit(id: $0.offset, topology: $0.element, isGated: true) }
        nextID = units.count
    }

    func add(_ topology: AMQPTopology) -> Unit {
        let unit = Unit(id: nextID, topology: topology, isGated: false)
        nextID += 1
        units.append(unit)
        return unit
    }

    func remove(_ unit: Unit) { units.removeAll { $0.id == unit.id } }
}

extension AMQPTopology {
    /// The exchanges, then each queue with its bindings and consumers; not divided if the broker names a queue.
    var byQueue: [AMQPTopology] {
        let names = queues.map(\.name)
        let users = bindings.map(\.queue) + consumers.map(\.queue)
        guard !names.contains(""), users.allSatisfy(names.contains), Set(names).count == names.count else { return [self] }
        return [AMQPTopology(exchanges: exchanges)]
            + queues.map { queue in
                AMQPTopology(
                    queues: [queue], bindings: bindings.filter { $0.queue == queue.name },
                    consumers: consumers.filter { $0.queue == queue.name })
            }
    }
}
