import Basics
import Testing

@testable import AMQP

@Suite(.timeLimit(.minutes(10))) struct ConnectionMachineTests {
    private static let crash = AMQPError(code: .connectionClosed, message: "INTERNAL_ERROR", replyCode: 541)

    /// The outcome of a call that must have one by now.
    private func outcome<Value: Sendable>(
        _ reply: Reply<Value>, sourceLocation: SourceLocation = #_sourceLocation
    ) async throws -> Result<Value, AMQPError> {
        try #require(reply.isResumed, sourceLocation: sourceLocation)
        return await reply.value()
    }

    private func failure<Value: Sendable>(_ reply: Reply<Value>) async throws -> AMQPError {
        let result = try await outcome(reply)
        guard case .failure(let error) = result else { throw AMQPError(code: .protocolViolation, message: "\(result)") }
        return error
    }

    private func connected(
        queues: [String] = ["q"], autoDelete: Bool = false, arguments: [String: AMQPValue] = [:], prefetch: UInt16 = 10,
        bodyTail: Int = 0, deliveryBytes: Int? = nil, bodyLimit: Int = 1000
    ) throws -> ScriptedBroker {
        let broker = ScriptedBroker(
            queues: queues, autoDelete: autoDelete, arguments: arguments, prefetch: prefetch, bodyTail: bodyTail,
            deliveryBytes: deliveryBytes, bodyLimit: bodyLimit)
        try broker.connect()
        _ = broker.written()
        // Long enough for nothing to count as a hot loop.
        broker.now += .seconds(60)
        return broker
    }

    // MARK: Connecting

    @Test func opensChannelsThenDeclaresThenConsumes() async throws {
        let broker = ScriptedBroker(queues: ["a", "b"])
        try broker.connect()
        #expect(
            broker.written() == [
                "open 1", "open 2", "open 3", "confirm.select", "declare a", "declare b", "consume a 10", "consume b 10",
            ])
        #expect(broker.core.withState { $0.phase == .connected && $0.isConsuming })
        var events = broker.events.makeAsyncIterator()
        guard case .connected(let epoch, _) = await events.next() else { Issue.record("no event"); return }
        #expect(epoch == 1)
    }

    @Test func afterAReconnectAllIsDeclaredAgainUnderANewEpoch() async throws {
        let broker = try connected()
        let reply = try broker.declare(
            AMQPTopology(queues: [QueueDeclaration(name: "replies")], consumers: [ConsumerDeclaration(queue: "replies")]))
        #expect(try await outcome(reply).get() == [])
        #expect(broker.written() == ["declare replies", "consume replies 10"])
        broker.lose()
        try broker.connect()
        #expect(
            broker.written() == [
                "open 1", "open 2", "open 3", "confirm.select", "declare q", "declare replies", "consume q 10",
                "consume replies 10",
            ])
        #expect(broker.machine.epoch == 2)
    }

    @Test func whileABrokerAnswersSlowlyAConnectIsNoStandstill() throws {
        let broker = ScriptedBroker(queues: ["a", "b", "c"])
        broker.whileStarting = { [core = broker.core] in
            #expect(core.withState(\.standstill) < .seconds(10))
            core.withState { $0.lastTurn = ContinuousClock.now - .seconds(20) }
        }
        broker.core.withState { state in
            state.phase = .disconnected
            state.lastTurn = ContinuousClock.now - .seconds(20)
        }
        try broker.connect()
        #expect(broker.core.withState(\.standstill) < .seconds(10))
    }

    @Test func whoStopsWhileAConnectIsUnderWayIsHeard() throws {
        let broker = ScriptedBroker()
        broker.whileStarting = { [core = broker.core] in core.withState { $0.wantsConsuming = false } }
        try broker.connect()
        #expect(broker.written().suffix(2) == ["consume q 10", "cancel c1"])
        #expect(broker.core.withState { $0.phase == .connected && !$0.isConsuming })
    }

    @Test func withoutWillToConsumeOnlyTheCallersOwnConsumersRun() async throws {
        let broker = ScriptedBroker()
        broker.core.withState { $0.wantsConsuming = false }
        try broker.connect()
        _ = try broker.declare(
            AMQPTopology(queues: [QueueDeclaration(name: "own")], consumers: [ConsumerDeclaration(queue: "own")]))
        #expect(broker.written().filter { $0.hasPrefix("consume") } == ["consume own 10"])
        #expect(!broker.core.withState(\.isConsuming))
    }

    @Test func aStreamIsConsumedWhereItsConsumerStopped() throws {
        let broker = try connected()
        let stream = ConsumerDeclaration(queue: "s", arguments: ["x-stream-offset": "last"])
        let unit = broker.machine.registry.add(AMQPTopology(consumers: [stream]))
        let consumer = ConnectionMachine.ActiveConsumer(unit: unit, index: 0)
        #expect(broker.machine.declaration(of: consumer) == stream)
        broker.core.withState { $0.ledger.add(1, at: .init(consumer: consumer.inStream, offset: 41)) }
        #expect(broker.machine.declaration(of: consumer).arguments == ["x-stream-offset": .int64(42)])
        let queue = ConnectionMachine.ActiveConsumer(
            unit: try #require(broker.machine.registry.units.first { !$0.topology.consumers.isEmpty }), index: 0)
        broker.core.withState { $0.ledger.add(2, at: .init(consumer: queue.inStream, offset: 41)) }
        #expect(broker.machine.declaration(of: queue) == queue.declaration)
    }

    // MARK: Deliveries

    @Test func deliveriesAreReadAndAcknowledgedTogether() async throws {
        let broker = try connected()
        for value in 1...3 { try broker.deliver(UInt64(value), redelivered: value == 1) }
        let first = try #require(await broker.deliveries.next())
        #expect(first.tag == DeliveryTag(epoch: 1, value: 1) && first.redelivered && first.consumerTag == "c1")
        for value in 1...3 { #expect(broker.acknowledge(UInt64(value))) }
        #expect(!broker.acknowledge(3))
        try broker.turn()
        #expect(broker.written() == ["ack 3 multiple"])
    }

    @Test func aRejectionIsWrittenOnce() async throws {
        let broker = try connected()
        try broker.deliver(1)
        let tag = DeliveryTag(epoch: 1, value: 1)
        #expect(broker.core.post(.reject(tag, requeue: true)) { $0.ledger.claim(tag) })
        #expect(!broker.core.post(.reject(tag, requeue: true)) { $0.ledger.claim(tag) })
        try broker.turn()
        #expect(broker.written() == ["reject 1 requeue"])
    }

    @Test func aBodyThatIsTooLargeIsRejectedOrItsEndDelivered() async throws {
        let deliver = IncomingFrame.Deliver(consumerTag: "c1", deliveryTag: 1, redelivered: false, exchange: "", routingKey: "q")
        let broker = try connected()
        try broker.send(.refused(deliver, reason: "too large", AMQPMessage(body: [])))
        #expect(broker.written() == ["reject 1"])
        let keeping = try connected(bodyTail: 4)
        try keeping.send(.refused(deliver, reason: "too large", AMQPMessage(body: [1, 2])))
        #expect(keeping.written() == [])
        let delivery = try #require(await keeping.deliveries.next())
        #expect(delivery.refusal == "too large" && delivery.message.body == [1, 2])
    }

    // MARK: The window

    @Test func aFullWindowIsShutAndOpenedAgain() async throws {
        // Narrow is 2 messages of the largest size.
        let broker = try connected(deliveryBytes: 2000)
        try broker.deliver(1)
        try broker.deliver(2)
        try broker.turn()
        #expect(broker.written() == ["cancel c1"])
        #expect(broker.core.withState(\.isConsuming))
        try broker.send(.consumerEnded(tag: "c1"))
        try broker.turn()
        #expect(broker.written() == ["consume q 10"])
        for value in 3...5 { try broker.deliver(UInt64(value), body: 900, tag: "c2") }
        #expect(broker.written() == [])
        try broker.deliver(6, body: 900, tag: "c2")
        #expect(broker.written() == ["cancel c2", "reject 6 requeue"])
        try broker.deliver(7, tag: "c2")
        #expect(broker.written() == ["reject 7 requeue"])
        try broker.send(.consumerEnded(tag: "c2"))
        try broker.turn()
        #expect(broker.written() == [])
        for value in 1...4 { #expect(broker.acknowledge(UInt64(value))) }
        try broker.turn()
        #expect(broker.written() == ["ack 4 multiple", "consume q 2"])
    }

    /// The broker deletes such a queue, and what is in it, with its last consumer.
    @Test func aConsumerOfAnAutoDeleteQueueIsReplacedBeforeItIsCancelled() throws {
        let broker = try connected(autoDelete: true, deliveryBytes: 2000)
        for value in 1...2 { try broker.deliver(UInt64(value)) }
        try broker.turn()
        #expect(broker.written() == ["consume q 10", "cancel c1"])
        #expect(broker.core.withState(\.isConsuming))
        try broker.send(.consumerEnded(tag: "c1"))
        for value in 3...5 { try broker.deliver(UInt64(value), body: 900, tag: "c2") }
        #expect(broker.written() == [])
        try broker.deliver(6, body: 900, tag: "c2")
        #expect(broker.written() == ["consume q 2", "cancel c2"])
        // What comes after it must not overtake what is on its way to the one before.
        for (value, tag) in [(7, "c2"), (8, "c3"), (9, "c2")] { try broker.deliver(UInt64(value), body: 900, tag: tag) }
        try broker.turn()
        #expect(broker.written() == [] && broker.core.withState(\.isConsuming))
        for value in 1...9 { #expect(broker.acknowledge(UInt64(value))) }
        try broker.turn()
        #expect(broker.written() == ["ack 9 multiple"])
    }

    @Test func whoeverStopsIsNotGivenAnotherConsumer() throws {
        let broker = try connected(autoDelete: true, deliveryBytes: 2000)
        for value in 1...2 { try broker.deliver(UInt64(value)) }
        broker.core.withState { $0.wantsConsuming = false }
        try broker.turn()
        #expect(broker.written() == ["cancel c1"])
    }

    // MARK: Confirms

    @Test func confirmsComeOneByOneOrTogether() async throws {
        let broker = try connected()
        let replies = try (1...4).map { try broker.publish("\($0)") }
        #expect(broker.written() == ["publish 1", "publish 2", "publish 3", "publish 4"])
        try broker.send(.acknowledged(2, multiple: false))
        #expect(!replies[0].isResumed && replies[1].isResumed)
        try broker.send(.acknowledged(3, multiple: true))
        #expect(try await outcome(replies[0]).get() == .confirmed)
        #expect(try await outcome(replies[2]).get() == .confirmed)
        #expect(!replies[3].isResumed && !broker.machine.isQuiet)
        try broker.send(.notAcknowledged(4, multiple: false))
        let error = try await failure(replies[3])
        #expect(error.code == .nacked && error.isRetriable)
        #expect(broker.machine.isQuiet && broker.core.withState(\.publishesInFlight) == 0)
    }

    @Test func aReturnComesBeforeItsConfirm() async throws {
        let broker = try connected()
        let lost = try broker.publish("lost", routingKey: "gone", mandatory: true)
        let kept = try broker.publish("kept", mandatory: true)
        let returned = IncomingFrame.Return(replyCode: 312, replyText: "NO_ROUTE", exchange: "", routingKey: "gone")
        try broker.send(.returned(AMQPMessage(body: Array("lost".utf8)), returned))
        #expect(!lost.isResumed)
        try broker.send(.acknowledged(2, multiple: true))
        #expect(try await outcome(lost).get() == .returned(replyCode: 312, replyText: "NO_ROUTE"))
        #expect(try await outcome(kept).get() == .confirmed)
    }

    @Test func aConfirmThatDoesNotComeIsWaitedForNoLonger() async throws {
        let broker = try connected()
        let reply = try broker.publish(within: .seconds(5))
        #expect(broker.machine.nextDeadline == broker.now + .seconds(5))
        broker.now += .seconds(5)
        try broker.turn()
        #expect(try await failure(reply).code == .timedOut)
        try broker.send(.acknowledged(1, multiple: false))
        #expect(broker.core.withState(\.publishesInFlight) == 0)
    }

    @Test func whileTheBrokerBlocksPublishesAreHeld() async throws {
        let broker = try connected()
        try broker.send(.blocked(reason: "memory"))
        let expired = try broker.publish("early", within: .seconds(1))
        let held = try broker.publish("late")
        #expect(broker.written() == [] && broker.core.withState(\.isBlocked))
        broker.now += .seconds(1)
        try broker.turn()
        #expect(try await failure(expired).message == "the broker blocks publishers")
        try broker.send(.unblocked)
        #expect(broker.written() == ["publish late"] && !held.isResumed)
        broker.lose()
        #expect(try await failure(held).code == .connectionClosed)
    }

    @Test func whatWasNotSentSaysSo() async throws {
        let broker = try connected()
        try broker.send(.blocked(reason: "disk"))
        let held = try broker.publish()
        broker.lose()
        #expect(try await failure(held).code == .notConnected)
    }

    @Test func propertiesThatFitNoFrameAreRefusedAtOnce() async throws {
        let broker = try connected()
        let reply = try broker.publish(routingKey: "q")
        let message = AMQPMessage(body: [], properties: AMQPProperties(correlationID: String(repeating: "x", count: 300)))
        let publish = PendingPublish(message: message, exchange: "", routingKey: "q", mandatory: false, deadline: broker.now)
        broker.core.withState { state in
            state.publishesInFlight += 1
            state.commands.append(.publish(publish))
        }
        try broker.turn()
        #expect(try await failure(publish.reply).code == .invalidArgument)
        #expect(broker.written() == ["publish m"] && !reply.isResumed)
    }

    // MARK: Closed channels

    @Test(arguments: [(404, "no exchange 'gone' in vhost '/'"), (403, "access to exchange 'gone' in vhost '/' refused")])
    func aClosedPublishingChannelFailsTheCulpritForGood(code: Int, text: String) async throws {
        let broker = try connected()
        let innocent = try broker.publish("innocent")
        let culprit = try broker.publish("culprit", exchange: "gone")
        _ = broker.written()
        try broker.send(.channelClosed(Session.Channel.publish, .channelClose(code, text)))
        #expect(broker.written() == ["close-ok 2", "open 2", "confirm.select"])
        let (first, second) = (try await failure(innocent), try await failure(culprit))
        #expect(first.isRetriable && first.replyCode == nil)
        #expect(!second.isRetriable && second.replyCode == code)
        // Sequence numbers begin again.
        let next = try broker.publish("next")
        try broker.send(.acknowledged(1, multiple: false))
        #expect(try await outcome(next).get() == .confirmed)
    }

    @Test func acknowledgementsAreDroppedOnceTheirChannelIsClosed() async throws {
        let broker = try connected()
        try broker.deliver(1)
        try broker.deliver(2)
        #expect(broker.acknowledge(1))
        try broker.execute()
        #expect(broker.acknowledge(2))
        let error = AMQPError.channelClose(406, "delivery acknowledgement on channel 1 timed out")
        try broker.send(.channelClosed(Session.Channel.consume, error))
        #expect(broker.written() == ["close-ok 1", "open 1", "consume q 10"])
        try broker.turn()
        #expect(broker.written() == [])
        #expect(!broker.acknowledge(1, epoch: 1) && broker.machine.epoch == 2)
        // What waited unread is gone with it; the broker delivers again.
        try broker.deliver(1, tag: "c2", redelivered: true)
        #expect(await broker.deliveries.next()?.tag.epoch == 2)
    }

    @Test func aConsumingChannelThatIsClosedAtOnceEndsTheConnection() throws {
        let broker = try connected()
        let error = AMQPError.channelClose(403, "ACCESS_REFUSED")
        try broker.send(.channelClosed(Session.Channel.consume, error))
        broker.now += .seconds(1)
        #expect(throws: AMQPError.self) { try broker.send(.channelClosed(Session.Channel.consume, error)) }
    }

    @Test func aClosedTopologyChannelIsOpenedAgain() throws {
        let broker = try connected()
        try broker.send(.channelClosed(Session.Channel.topology, .channelClose(406, "PRECONDITION_FAILED")))
        #expect(broker.written() == ["close-ok 3", "open 3"])
    }

    @Test func aClosedConnectionIsConfirmed() throws {
        let broker = try connected()
        #expect(throws: AMQPError.self) { try broker.send(.connectionClosed(Self.crash)) }
        #expect(broker.written() == ["close-ok"])
    }

    @Test func flowIsConfirmed() throws {
        let broker = try connected()
        try broker.send(.flow(Session.Channel.publish, active: 0))
        #expect(broker.written() == ["flow-ok 2 0"])
    }

    // MARK: Consumers

    @Test func aCancelledConsumerIsDeclaredAndStartedAgainOnceItsQueueCanBeReached() throws {
        let broker = try connected(queues: ["a", "b"])
        try broker.send(.consumerCancelled(tag: "c2", needsAnswer: true))
        #expect(broker.written() == ["cancel-ok c2", "open 4", "ask b"])
        #expect(broker.core.withState { $0.isConsuming && $0.unavailableQueues == ["RabbitMQ does not answer for b"] })
        try broker.send(.queueFound(4))
        #expect(broker.written() == ["declare b", "consume b 10"])
        #expect(broker.core.withState { $0.isConsuming && $0.unavailableQueues == [] })
        broker.now += .seconds(1)
        #expect(throws: AMQPError.self) { try broker.send(.consumerCancelled(tag: "c3", needsAnswer: false)) }
    }

    @Test func theOnlyConsumerIsDeclaredAgainAtOnce() throws {
        let broker = try connected()
        try broker.send(.consumerCancelled(tag: "c1", needsAnswer: true))
        #expect(broker.written() == ["cancel-ok c1", "declare q", "consume q 10"])
    }

    @Test func stoppedConsumersDeliveriesCanStillBeSettled() async throws {
        let broker = try connected()
        let reply = try broker.stopConsuming()
        #expect(reply.isResumed && broker.written() == ["cancel c1"])
        #expect(!broker.core.withState(\.isConsuming))
        try broker.deliver(1)
        #expect(broker.acknowledge(1))
        try broker.turn()
        #expect(broker.written() == ["ack 1"])
    }

    // MARK: Declarations

    @Test func aRefusedDeclarationIsNotKept() async throws {
        let broker = try connected()
        broker.undeclarable["mine"] = .channelClose(406, "PRECONDITION_FAILED - inequivalent arg 'durable'")
        let reply = try broker.declare(
            AMQPTopology(queues: [QueueDeclaration(name: "mine")], consumers: [ConsumerDeclaration(queue: "mine")]))
        #expect(try await failure(reply).replyCode == 406)
        #expect(broker.written() == ["declare mine", "close-ok 3", "open 3"])
        #expect(broker.registry.units.allSatisfy { $0.queueNames != "mine" })
    }

    @Test func aRefusedConsumerTakesItsDeclarationAlong() async throws {
        let broker = try connected()
        broker.unconsumable["mine"] = .channelClose(403, "ACCESS_REFUSED - queue 'mine' in exclusive use")
        let reply = try broker.declare(
            AMQPTopology(queues: [QueueDeclaration(name: "mine")], consumers: [ConsumerDeclaration(queue: "mine")]))
        #expect(try await failure(reply).replyCode == 403)
        #expect(broker.written() == ["declare mine", "consume mine 10", "close-ok 1", "open 1", "consume q 10"])
    }

    @Test func aDeclarationThatTheConnectionDoesNotSurviveIsAnswered() async throws {
        let broker = try connected()
        broker.undeclarable["mine"] = Self.crash
        let topology = AMQPTopology(queues: [QueueDeclaration(name: "mine")])
        let reply = Reply<[String]>()
        #expect(broker.core.post(.declare(topology, isKept: true, reply)) { _ in true })
        #expect(throws: AMQPError.self) { try broker.turn() }
        #expect(try await failure(reply).replyCode == 541)
        #expect(broker.registry.units.allSatisfy { $0.queueNames != "mine" })
    }

    @Test func aRefusedTopologyEndsTheConnection() throws {
        let broker = ScriptedBroker(queues: ["a", "b"])
        broker.undeclarable["a"] = .channelClose(406, "PRECONDITION_FAILED")
        #expect(throws: AMQPError.self) { try broker.connect() }
    }
}
