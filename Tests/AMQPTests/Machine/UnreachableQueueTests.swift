import Testing

@testable import AMQP

@Suite struct UnreachableQueueTests {
    private static let homeNodeDown = AMQPError.channelClose(404, "NOT_FOUND - home node 'rabbit@b' of durable queue 'b' is down")
    /// RabbitMQ 4's text, a minute later.
    private static let gaveUp = AMQPError.channelClose(
        404, "NOT_FOUND - failed to perform operation on queue 'b' in vhost '/' due to timeout")
    private static let crash = AMQPError(code: .connectionClosed, message: "INTERNAL_ERROR", replyCode: 541)
    private static let timedOut = AMQPError(code: .timedOut, message: "request timed out")
    private static let noAnswer = ["RabbitMQ does not answer for b"]
    private static let isDown = ["home node down of b"]

    private func unavailable(_ broker: ScriptedBroker) -> [String] { broker.core.withState(\.unavailableQueues) }

    /// Connects, and again, since the time-out of b's declaration ends the first connection.
    private func withoutAnswer() throws -> ScriptedBroker {
        let broker = ScriptedBroker(queues: ["a", "b"])
        broker.undeclarable["b"] = Self.timedOut
        #expect(throws: AMQPError.self) { try broker.connect() }
        broker.lose(Self.timedOut)
        try broker.connect()
        return broker
    }

    /// The same, and b has been asked about.
    private func asking() throws -> ScriptedBroker {
        let broker = try withoutAnswer()
        broker.now += .seconds(5)
        _ = broker.written()
        try broker.turn()
        #expect(broker.written() == ["open 4", "ask b"])
        return broker
    }

    @Test func oneWhoseHomeNodeIsDownIsUsedOnceItIsFound() throws {
        let broker = ScriptedBroker(queues: ["a", "b"])
        broker.undeclarable["b"] = Self.homeNodeDown
        try broker.connect()
        #expect(broker.written().suffix(5) == ["declare a", "declare b", "close-ok 3", "open 3", "consume a 10"])
        #expect(unavailable(broker) == Self.isDown && broker.core.withState(\.isConsuming))
        broker.undeclarable = [:]
        broker.now += .seconds(5)
        try broker.turn()
        #expect(broker.written() == ["open 4", "ask b"])
        try broker.send(.queueFound(Session.Channel.questions))
        #expect(broker.written() == ["declare b", "consume b 10"])
        #expect(unavailable(broker) == [])
    }

    @Test func oneThatIsNotAnsweredForCostsOneConnection() throws {
        let broker = try withoutAnswer()
        #expect(broker.written().suffix(2) == ["declare a", "consume a 10"])
        #expect(unavailable(broker) == Self.noAnswer && broker.core.withState(\.isConsuming))
        #expect(broker.machine.nextDeadline == broker.now + .seconds(5))
    }

    @Test func theAnswerIsNotWaitedFor() throws {
        let broker = try asking()
        #expect(broker.machine.nextDeadline == nil)
        broker.now += .seconds(60)
        try broker.deliver(1)
        #expect(broker.acknowledge(1))
        try broker.turn()
        #expect(broker.written() == ["ack 1"])
        for _ in 0..<2 {
            try broker.send(.channelClosed(Session.Channel.questions, Self.gaveUp))
            #expect(broker.written() == ["close-ok 4"])
            #expect(unavailable(broker) == Self.isDown && broker.core.withState(\.isConsuming))
            #expect(broker.machine.nextDeadline == broker.now + .seconds(5))
            broker.now += .seconds(5)
            try broker.turn()
            #expect(broker.written() == ["open 4", "ask b"])
        }
        broker.undeclarable = [:]
        try broker.send(.queueFound(Session.Channel.questions))
        #expect(broker.written() == ["declare b", "consume b 10"])
        #expect(unavailable(broker) == [])
        // Its consumer works, so all is forgotten; the channel is still open.
        broker.now += .seconds(60)
        try broker.send(.consumerCancelled(tag: "c2", needsAnswer: false))
        #expect(broker.written() == ["ask b"])
    }

    @Test(arguments: [(404, "NOT_FOUND - no queue 'b' in vhost '/'"), (403, "ACCESS_REFUSED")])
    func anyOtherAnswerLeavesItToTheDeclaration(code: Int, text: String) throws {
        let broker = try asking()
        broker.undeclarable = [:]
        try broker.send(.channelClosed(Session.Channel.questions, .channelClose(code, text)))
        #expect(broker.written() == ["close-ok 4", "declare b", "consume b 10"])
    }

    @Test func oneThatIsFoundInVainIsLeftAloneForLonger() throws {
        let broker = try asking()
        #expect(throws: AMQPError.self) { try broker.send(.queueFound(Session.Channel.questions)) }
        #expect(broker.written() == ["declare b"])
        broker.lose(Self.timedOut)
        try broker.connect()
        #expect(unavailable(broker) == Self.noAnswer)
        #expect(broker.machine.nextDeadline == broker.now + .seconds(10))
    }

    @Test func aQuestionEndsWithItsConnection() throws {
        let broker = try asking()
        broker.lose()
        try broker.connect()
        #expect(broker.written().suffix(4) == ["declare a", "open 4", "ask b", "consume a 10"])
        #expect(unavailable(broker) == Self.noAnswer)
        // What the broker says without having been asked.
        let other = ScriptedBroker(queues: ["a", "b"])
        try other.connect()
        _ = other.written()
        try other.send(.queueFound(Session.Channel.questions))
        #expect(other.written() == [])
    }

    @Test func aQuestionThatCrashesTheBrokerIsNotAskedAgainAtOnce() throws {
        let broker = try asking()
        #expect(throws: AMQPError.self) { try broker.send(.connectionClosed(Self.crash)) }
        broker.lose(Self.crash)
        _ = broker.written()
        try broker.connect()
        #expect(broker.written().suffix(2) == ["declare a", "consume a 10"])
        #expect(unavailable(broker) == ["RabbitMQ fails at b"])
        #expect(broker.machine.nextDeadline == broker.now + .seconds(10))
    }

    @Test func noneWaitsForTheAnswerAboutAnother() throws {
        let broker = ScriptedBroker(queues: ["a", "b", "c"])
        (broker.undeclarable["b"], broker.undeclarable["c"]) = (Self.homeNodeDown, Self.homeNodeDown)
        try broker.connect()
        broker.now += .seconds(5)
        _ = broker.written()
        try broker.turn()
        #expect(broker.written() == ["open 4", "ask b", "open 5", "ask c"])
        broker.undeclarable = [:]
        broker.now += .seconds(60)
        try broker.turn()
        #expect(broker.written() == [])
        try broker.send(.queueFound(5))
        #expect(broker.written() == ["declare c", "consume c 10"])
        #expect(unavailable(broker) == Self.isDown)
        try broker.send(.channelClosed(4, Self.gaveUp))
        #expect(broker.written() == ["close-ok 4"])
        broker.now += .seconds(5)
        try broker.turn()
        #expect(broker.written() == ["open 4", "ask b"])
    }

    @Test func queuesLostTogetherAreAskedAboutOnTheNextConnection() throws {
        let broker = ScriptedBroker(queues: ["a", "b", "c"])
        try broker.connect()
        broker.now += .seconds(60)
        try broker.send(.consumerCancelled(tag: "c2", needsAnswer: false))
        #expect(throws: AMQPError.self) { try broker.send(.consumerCancelled(tag: "c3", needsAnswer: false)) }
        broker.lose()
        _ = broker.written()
        try broker.connect()
        #expect(broker.written().suffix(6) == ["declare a", "open 4", "ask b", "open 5", "ask c", "consume a 10"])
        #expect(unavailable(broker) == ["RabbitMQ does not answer for b", "RabbitMQ does not answer for c"])
    }

    @Test(arguments: [homeNodeDown, timedOut])
    func theOnlyOneIsNotLeftAlone(error: AMQPError) {
        let broker = ScriptedBroker(queues: ["b"])
        broker.undeclarable["b"] = error
        for _ in 0..<2 {
            #expect(throws: AMQPError.self) { try broker.connect() }
            #expect(broker.written().suffix(1) == ["declare b"])
            broker.lose(error)
        }
    }

    @Test func whenNoneIsLeftAllAreTriedAgain() throws {
        let broker = ScriptedBroker(queues: ["a", "b"])
        broker.undeclarable = ["a": Self.timedOut, "b": Self.timedOut]
        for name in ["a", "b"] {
            #expect(throws: AMQPError.self) { try broker.connect() }
            #expect(broker.written().suffix(1) == ["declare \(name)"])
            broker.lose(Self.timedOut)
        }
        broker.undeclarable["a"] = nil
        #expect(throws: AMQPError.self) { try broker.connect() }
        #expect(broker.written().suffix(2) == ["declare a", "declare b"])
        broker.lose(Self.timedOut)
        try broker.connect()
        #expect(broker.written().suffix(2) == ["declare a", "consume a 10"])
        #expect(unavailable(broker) == Self.noAnswer)
    }

    @Test func oneThatCrashesTheBrokerIsQuarantinedForLongerEachTime() throws {
        let broker = ScriptedBroker(queues: ["a", "b"])
        broker.undeclarable["b"] = Self.crash
        #expect(throws: AMQPError.self) { try broker.connect() }
        broker.lose(Self.crash)
        _ = broker.written()
        try broker.connect()
        #expect(broker.written().suffix(2) == ["declare a", "consume a 10"])
        #expect(broker.core.withState(\.unavailableQueues) == ["RabbitMQ fails at b"])
        #expect(broker.machine.nextDeadline == broker.now + .seconds(5))
        broker.now += .seconds(5)
        #expect(throws: AMQPError.self) { try broker.turn() }
        broker.lose(Self.crash)
        try broker.connect()
        #expect(broker.machine.nextDeadline == broker.now + .seconds(10))
        broker.now += .seconds(10)
        broker.undeclarable = [:]
        _ = broker.written()
        try broker.turn()
        #expect(broker.written() == ["declare b", "consume b 10"])
    }

    @Test func aConsumerThatFailsBesideOthersEndsTheConnectionAndThenStaysAside() throws {
        let broker = ScriptedBroker(queues: ["a", "b"])
        broker.unconsumable["b"] = Self.homeNodeDown
        #expect(throws: AMQPError.self) { try broker.connect() }
        broker.lose()
        _ = broker.written()
        try broker.connect()
        #expect(broker.written().suffix(2) == ["declare a", "consume a 10"])
        #expect(broker.core.withState(\.unavailableQueues) == ["home node down of b"])
    }
}
