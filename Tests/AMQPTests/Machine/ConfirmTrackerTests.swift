import Testing

@testable import AMQP

@Suite struct ConfirmTrackerTests {
    private let start = ContinuousClock.now

    private func publish(_ number: Int, body: UInt8, mandatory: Bool = true, deadline: ContinuousClock.Instant) -> PendingPublish
    {
        // Its number, which no return is matched by.
        let properties = AMQPProperties(timestamp: UInt64(number))
        return PendingPublish(
            message: AMQPMessage(body: [body], properties: properties), exchange: "x", routingKey: "k", mandatory: mandatory,
            deadline: deadline)
    }

    private func tracker(_ bodies: [UInt8], mandatory: Bool = true) -> ConfirmTracker {
        var tracker = ConfirmTracker()
        for (index, body) in bodies.enumerated() {
            tracker.add(publish(index + 1, body: body, mandatory: mandatory, deadline: start + .seconds(index)))
        }
        return tracker
    }

    @Test func singleAcknowledgementsInAnyOrder() {
        var tracker = tracker([1, 2, 3])
        let result1 = tracker.confirm(2, multiple: false)
        #expect(result1.map(\.number) == [2])
        let result2 = tracker.confirm(2, multiple: false)
        #expect(result2.isEmpty)
        let result3 = tracker.confirm(3, multiple: false)
        #expect(result3.map(\.number) == [3])
        let result4 = tracker.confirm(1, multiple: false)
        #expect(result4.map(\.number) == [1])
        #expect(tracker.isEmpty)
    }

    @Test func multipleSettlesAllUpToIt() {
        var tracker = tracker([1, 2, 3, 4, 5])
        let result5 = tracker.confirm(2, multiple: false)
        #expect(result5.map(\.number) == [2])
        let result6 = tracker.confirm(4, multiple: true)
        #expect(result6.map(\.number) == [1, 3, 4])
        #expect(tracker.count == 1)
        let result7 = tracker.confirm(0, multiple: true)
        #expect(result7.map(\.number) == [5])
    }

    @Test func unknownSequenceSettlesNothing() {
        var tracker = tracker([1])
        let result8 = tracker.confirm(2, multiple: false)
        #expect(result8.isEmpty)
        let result9 = tracker.confirm(9, multiple: true)
        #expect(result9.map(\.number) == [1])
        let result10 = tracker.confirm(1, multiple: true)
        #expect(result10.isEmpty)
    }

    @Test func returnBelongsToTheEqualPublish() {
        var tracker = tracker([1, 2, 1])
        func markReturned(_ body: UInt8) -> Bool {
            tracker.markReturned(
                exchange: "x", routingKey: "k", message: AMQPMessage(body: [body]), replyCode: 312, replyText: "NO_ROUTE")
        }
        #expect(markReturned(2))
        #expect(markReturned(1))
        #expect(!markReturned(2))
        #expect(!markReturned(7))
        let settled = tracker.confirm(3, multiple: true)
        #expect(settled.map { $0.returned?.replyCode } == [312, 312, nil])
    }

    @Test func optionalPublishesAreNotMatched() {
        var tracker = tracker([1], mandatory: false)
        let message = AMQPMessage(body: [1])
        let isKnown = tracker.markReturned(exchange: "x", routingKey: "k", message: message, replyCode: 312, replyText: "")
        #expect(!isKnown)
    }

    @Test func expiryTakesTheOldestAndIgnoresLateConfirms() {
        var tracker = tracker([1, 2, 3])
        #expect(tracker.nextDeadline == start)
        let result11 = tracker.expire(start + .seconds(1))
        #expect(result11.map(\.number) == [1, 2])
        #expect(tracker.nextDeadline == start + .seconds(2))
        let result12 = tracker.confirm(1, multiple: false)
        #expect(result12.isEmpty)
        let result13 = tracker.confirm(3, multiple: true)
        #expect(result13.map(\.number) == [3])
        #expect(tracker.isEmpty && tracker.nextDeadline == nil)
    }

    @Test func expiryBehindASettledOne() {
        var tracker = tracker([1, 2, 3])
        _ = tracker.confirm(2, multiple: false)
        let result14 = tracker.expire(start + .seconds(9))
        #expect(result14.map(\.number) == [1, 3])
        #expect(tracker.count == 0)
    }

    @Test func resetReturnsAllInWaitAndStartsAtOne() {
        var tracker = tracker([1, 2, 3])
        _ = tracker.confirm(1, multiple: false)
        let result15 = tracker.reset()
        #expect(result15.map(\.number) == [2, 3])
        #expect(tracker.isEmpty)
        tracker.add(publish(9, body: 0, mandatory: false, deadline: start))
        let result16 = tracker.confirm(1, multiple: false)
        #expect(result16.map(\.number) == [9])
    }

    @Test("Finds the publish that caused a channel.close from RabbitMQ's message")
    func culprit() {
        func isAbout(_ text: String, _ exchange: String, _ size: Int = 10) -> Bool {
            AMQPError(code: .channelClosed, message: text).isAboutPublish(to: exchange, bodySize: size)
        }
        let missing = "NOT_FOUND - no exchange 'nova' in vhost '/'"
        #expect(isAbout(missing, "nova") && !isAbout(missing, "nov") && !isAbout(missing, ""))
        let refused = "ACCESS_REFUSED - access to exchange 'amq.default' in vhost 'lab' refused for user 'poor'"
        #expect(isAbout(refused, "") && !isAbout(refused, "lab"))
        let tooLarge = "PRECONDITION_FAILED - message size 3001 is larger than configured max size 3000"
        #expect(isAbout(tooLarge, "", 3001) && !isAbout(tooLarge, "", 3000) && !isAbout(tooLarge, "", 301))
    }
}

extension ConfirmTracker.Entry {
    fileprivate var number: UInt64? { publish.message.properties.timestamp }
}
