import AMQP
import OsloMessaging
import Testing

@Suite struct OsloTopologyTests {
    private func topology(_ change: (inout OsloRabbitOptions) -> Void = { _ in }) -> AMQPTopology {
        var options = OsloRabbitOptions()
        change(&options)
        return OsloTopology(exchange: "openstack", options: options).server(topic: "pivotd", host: "h", fanoutID: "f")
    }

    @Test func defaults() {
        let topology = topology()
        #expect(
            topology.exchanges == [
                ExchangeDeclaration(name: "openstack", type: "topic"),
                ExchangeDeclaration(name: "pivotd_fanout", type: "fanout", autoDelete: true),
            ])
        #expect(
            topology.queues == [
                QueueDeclaration(name: "pivotd"), QueueDeclaration(name: "pivotd.h"),
                QueueDeclaration(name: "pivotd_fanout_f", arguments: ["x-expires": 1_800_000]),
            ])
        #expect(
            topology.bindings == [
                QueueBinding(queue: "pivotd", exchange: "openstack", routingKey: "pivotd"),
                QueueBinding(queue: "pivotd.h", exchange: "openstack", routingKey: "pivotd.h"),
                QueueBinding(queue: "pivotd_fanout_f", exchange: "pivotd_fanout", routingKey: "pivotd"),
            ])
        #expect(topology.consumers.map(\.queue) == ["pivotd", "pivotd.h", "pivotd_fanout_f"])
    }

    @Test func durableAndAutoDelete() {
        let topology = topology {
            $0.durableQueues = true
            $0.autoDelete = true
            $0.transientQueuesTTL = 0
        }
        #expect(topology.exchanges.map(\.durable) == [true, false])
        #expect(topology.exchanges.map(\.autoDelete) == [true, true])
        #expect(topology.queues.map(\.durable) == [true, true, false])
        #expect(topology.queues.map(\.autoDelete) == [true, true, false])
        #expect(topology.queues[2].arguments.isEmpty)
    }

    @Test func quorumQueues() {
        let topology = topology {
            $0.quorumQueue = true
            $0.transientQuorumQueue = true
            $0.quorumDeliveryLimit = 3
            $0.quorumMaxMemoryLength = 4
            $0.quorumMaxMemoryBytes = 5
        }
        let limits: [String: AMQPValue] = [
            "x-queue-type": "quorum", "x-delivery-limit": 3, "x-max-in-memory-length": 4, "x-max-in-memory-bytes": 5,
        ]
        #expect(topology.queues[0] == QueueDeclaration(name: "pivotd", durable: true, arguments: limits))
        #expect(topology.queues[2].durable)
        #expect(topology.queues[2].arguments == limits.merging(["x-expires": 1_800_000]) { $1 })
    }

    @Test func limitsOfQuorumQueuesHaveNoMaximum() throws {
        var options = OsloRabbitOptions()
        options.quorumQueue = true
        let limits: [WritableKeyPath<OsloRabbitOptions, Int>] = [
            \.quorumDeliveryLimit, \.quorumMaxMemoryLength, \.quorumMaxMemoryBytes,
        ]
        for limit in limits {
            options[keyPath: limit] = 4 << 30
            #expect(throws: Never.self) { try options.validate() }
        }
        let queue = OsloTopology(exchange: "openstack", options: options).server(topic: "pivotd", host: "h").queues[0]
        #expect(queue.arguments["x-max-in-memory-bytes"] == .int64(4 << 30))
        for limit in limits {
            var negative = options
            negative[keyPath: limit] = -1
            #expect(throws: OsloRabbitOptions.OptionsError.self) { try negative.validate() }
        }
        options.transientQueuesTTL = 4 << 30
        #expect(throws: OsloRabbitOptions.OptionsError.self) { try options.validate() }
    }

    @Test func streamFanout() throws {
        let topology = topology {
            $0.transientQuorumQueue = true
            $0.streamFanout = true
        }
        #expect(topology.queues[2].name == "pivotd_fanout")
        #expect(topology.queues[2].arguments == ["x-queue-type": "stream", "x-max-age": "1800s"])
        #expect(topology.consumers[2].arguments == ["x-stream-offset": "last"])
    }

    @Test func haQueues() {
        #expect(topology { $0.haQueues = true }.queues[0].arguments == ["x-ha-policy": "all"])
    }

    @Test func impossibleCombinationsAreRefused() {
        var options = OsloRabbitOptions()
        options.streamFanout = true
        #expect(throws: OsloRabbitOptions.OptionsError.self) { try options.validate() }
        options.transientQuorumQueue = true
        #expect(throws: Never.self) { try options.validate() }
        options.haQueues = true
        #expect(throws: OsloRabbitOptions.OptionsError.self) { try options.validate() }
    }

    @Test func notificationsHaveADefaultQueuePerPriority() {
        let parts = OsloTopology(exchange: "nova").notifications(
            topic: "versioned_notifications", priorities: [.info, .error])
        // Each apart, for each may be refused by itself.
        #expect(parts.map(\.exchanges.count) == [1, 0, 0, 0, 0])
        #expect(parts.flatMap(\.queues).map(\.name) == ["versioned_notifications.info", "versioned_notifications.error"])
        #expect(parts.flatMap(\.bindings).map(\.routingKey) == ["versioned_notifications.info", "versioned_notifications.error"])
        #expect(parts.allSatisfy { $0.consumers.isEmpty })
        #expect(parts.flatMap(\.queues).allSatisfy { $0.arguments.isEmpty })
        let short = OsloTopology(exchange: "e").notifications(topic: "t", priorities: [.info], maxLength: 5)
        #expect(short.flatMap(\.queues).map(\.arguments) == [["x-max-length": 5]])
    }
}
