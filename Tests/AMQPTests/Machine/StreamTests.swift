import Testing

@testable import AMQP

/// Consumers of streams: RabbitMQ ends a connection that rejects one's message, and delivers from the offset that it is asked for.
@Suite(.timeLimit(.minutes(10))) struct StreamTests {
    private func connected(bodyTail: Int = 0, deliveryBytes: Int? = nil) throws -> ScriptedBroker {
        let broker = ScriptedBroker(
            arguments: ["x-stream-offset": "last"], bodyTail: bodyTail, deliveryBytes: deliveryBytes)
        try broker.connect()
        _ = broker.written()
        return broker
    }

    private func deliver(_ value: UInt64, tag: String = "c1") -> IncomingFrame.Deliver {
        IncomingFrame.Deliver(consumerTag: tag, deliveryTag: value, redelivered: false, exchange: "", routingKey: "q")
    }

    /// How a new connection consumes.
    private func reconnect(_ broker: ScriptedBroker) throws -> String? {
        broker.lose()
        try broker.connect()
        return broker.written().last
    }

    @Test func whatIsRejectedIsAcknowledgedAndComesAgainOnlyIfRequeued() throws {
        let broker = try connected()
        try broker.deliver(1, offset: 10)
        try broker.deliver(2, offset: 11)
        #expect(broker.reject(1, requeue: false))
        try broker.turn()
        #expect(broker.written() == ["ack 1"])
        #expect(broker.reject(2, requeue: true))
        try broker.turn()
        #expect(broker.written() == ["ack 2"])
        #expect(try reconnect(broker) == "consume q 10 from 11")
    }

    @Test func whatStatesNoOffsetIsAcknowledgedToo() throws {
        let broker = try connected()
        try broker.deliver(1, offset: 10)
        for value in 2...3 { try broker.deliver(UInt64(value)) }
        #expect(broker.reject(2, requeue: false))
        #expect(broker.reject(3, requeue: true))
        try broker.turn()
        try broker.send(.refused(deliver(4), reason: "too large", AMQPMessage(body: [])))
        #expect(broker.written() == ["ack 2", "ack 3", "ack 4"])
        #expect(try reconnect(broker) == "consume q 10 from 10")
    }

    @Test func theSenderOfAnotherQueuesMessageCannotHaveItTakenForAStreams() throws {
        let broker = ScriptedBroker()
        try broker.connect()
        _ = broker.written()
        try broker.deliver(1, offset: 10)
        #expect(broker.reject(1, requeue: true))
        try broker.turn()
        #expect(broker.written() == ["reject 1 requeue"])
    }

    @Test(arguments: [0, 4]) func aBodyThatIsRefusedIsNotDeliveredAgain(bodyTail: Int) throws {
        let broker = try connected(bodyTail: bodyTail)
        let message = AMQPMessage(body: [1], properties: AMQPProperties(headers: ["x-stream-offset": 7]))
        try broker.send(.refused(deliver(1), reason: "too large", message))
        if bodyTail > 0 {
            #expect(broker.reject(1, requeue: false))
            try broker.turn()
        }
        #expect(broker.written() == ["ack 1"])
        #expect(try reconnect(broker) == "consume q 10 from 8")
    }

    @Test func whatHasNoRoomIsDeliveredAgain() throws {
        let broker = try connected(deliveryBytes: 2000)
        for value in 1...3 { try broker.deliver(UInt64(value), body: 900, offset: Int64(value)) }
        try broker.deliver(4, body: 900, offset: 4)
        try broker.deliver(5, offset: 5)
        #expect(broker.written() == ["cancel c1", "ack 4", "ack 5"])
        for value in 1...3 { #expect(broker.acknowledge(UInt64(value))) }
        try broker.send(.consumerEnded(tag: "c1"))
        try broker.turn()
        #expect(broker.written() == ["ack 3 multiple", "consume q 2 from 4"])
    }

    @Test func aStreamBesideAutoDeleteQueuesIsNotConsumedTwice() throws {
        let broker = ScriptedBroker(autoDelete: true, arguments: ["x-stream-offset": "last"], deliveryBytes: 2000)
        try broker.connect()
        _ = broker.written()
        for value in 1...2 { try broker.deliver(UInt64(value), offset: Int64(value)) }
        try broker.turn()
        #expect(broker.written() == [])
    }

    @Test func whatCannotBeReadIsPassedOverAndNothingElse() throws {
        let broker = try connected()
        try broker.deliver(1, offset: 5)
        #expect(broker.machine.passUnreadable(deliver(2)))
        // One by one, so that the next time it is known which one it is.
        #expect(try reconnect(broker) == "consume q 1 from 5")
        try broker.deliver(1, tag: "c2", offset: 5)
        #expect(broker.acknowledge(1))
        try broker.turn()
        _ = broker.written()
        #expect(broker.machine.passUnreadable(deliver(2, tag: "c2")))
        #expect(try reconnect(broker) == "consume q 1 from 7")
    }

    @Test func whatCannotBeReadBeforeAnythingElseIsPassedOverWithAllThatIsThere() throws {
        let broker = try connected()
        #expect(broker.machine.passUnreadable(deliver(1)))
        #expect(try reconnect(broker) == "consume q 1 from next")
        try broker.deliver(1, tag: "c2", offset: 9)
        #expect(broker.acknowledge(1))
        try broker.turn()
        _ = broker.written()
        #expect(try reconnect(broker) == "consume q 1 from 10")
    }

    @Test func whatCannotBeReadFromAnotherQueueIsToBeRejected() throws {
        let broker = ScriptedBroker()
        try broker.connect()
        #expect(!broker.machine.passUnreadable(deliver(1)))
    }
}
