/// All that is declared on a connect, in the order it was asked for.
final class TopologyRegistry {
    struct Unit {
        let id: Int
        let topology: AMQPTopology
        /// Its consumers run only between startConsuming and stopConsuming.
        let isGated: Bool
    }

    private(set) var units: [Unit]
    private var nextID = 1

    init(_ initial: AMQPTopology) {
        units = [Unit(id: 0, topology: initial, isGated: true)]
    }

    func add(_ topology: AMQPTopology) -> Unit {
        let unit = Unit(id: nextID, topology: topology, isGated: false)
        nextID += 1
        units.append(unit)
        return unit
    }

    func remove(_ unit: Unit) { units.removeAll { $0.id == unit.id } }
}
