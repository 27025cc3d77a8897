import Testing

@testable import AMQP

@Suite("What is declared on a connect")
struct TopologyRegistryTests {
    private static let queues = ["shared", "own"]

    private static func topology(named name: (String) -> String) -> AMQPTopology {
        AMQPTopology(
            exchanges: [ExchangeDeclaration(name: "e")], queues: queues.map { QueueDeclaration(name: name($0)) },
            bindings: queues.map { QueueBinding(queue: name($0), exchange: "e", routingKey: $0) },
            consumers: queues.map { ConsumerDeclaration(queue: name($0)) })
    }

    @Test("Each queue is a unit with its bindings and consumers, after the exchanges")
    func byQueue() {
        let units = TopologyRegistry(Self.topology { $0 }).units
        #expect(units.map(\.id) == [0, 1, 2] && units.allSatisfy(\.isGated))
        #expect(units[0].topology == AMQPTopology(exchanges: [ExchangeDeclaration(name: "e")]))
        for (unit, name) in zip(units.dropFirst(), Self.queues) {
            #expect(unit.topology.exchanges.isEmpty)
            #expect(unit.topology.queues.map(\.name) == [name])
            #expect(unit.topology.bindings.map(\.routingKey) == [name])
            #expect(unit.topology.consumers.map(\.queue) == [name])
        }
    }

    @Test("A topology with a broker-named queue is not divided")
    func brokerNamed() {
        let topology = Self.topology { $0 == "own" ? "" : $0 }
        #expect(TopologyRegistry(topology).units.map(\.topology) == [topology])
        let added = TopologyRegistry(topology)
        #expect(added.add(AMQPTopology()).id == 1)
    }

    @Test("What a channel.close means for an operator")
    func advice() {
        func error(_ code: Int, _ text: String) -> AMQPError {
            AMQPError(code: .channelClosed, message: text, replyCode: code)
        }
        let down = error(404, "NOT_FOUND - home node 'rabbit@b' of durable queue 'pivotd' in vhost '/' is down or inaccessible")
        #expect(down.isHomeNodeDown && down.advice.contains("home node is down"))
        let missing = error(404, "NOT_FOUND - no queue 'pivotd' in vhost '/'")
        #expect(!missing.isHomeNodeDown && missing.advice == "it does not exist")
        let slow = error(
            406, "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. Timeout value used: 1800000 ms")
        #expect(slow.advice.contains("consumer_timeout"))
        #expect(error(406, "PRECONDITION_FAILED - inequivalent arg 'durable'").advice.contains("amqp_durable_queues"))
    }
}
