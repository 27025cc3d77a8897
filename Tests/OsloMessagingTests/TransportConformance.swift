import AMQP
import Testing

@testable import OsloMessaging

/// What every ``Transport`` must do, whatever moves its messages. One list, checked on each of them.
///
/// The transport consumes the queue of that name, and publishes to it by the default exchange.
struct TransportConformance<Subject: Transport> {
    let transport: Subject
    let queue: String

    func check(_ rule: TransportRule) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await transport.run() }
            try await transport.waitUntilPublishable()
            switch rule {
            case .deliversInOrder: try await deliversInOrder()
            case .deliversWhatWasPublished: try await deliversWhatWasPublished()
            case .settlesOnce: try await settlesOnce()
            case .requeues: try await requeues()
            case .rejectsForGood: try await rejectsForGood()
            case .returnsWhatHasNoQueue: try await returnsWhatHasNoQueue()
            case .stopsAndGoesOn: try await stopsAndGoesOn()
            case .endsWhenClosed: try await endsWhenClosed()
            }
            await transport.close()
            try await group.waitForAll()
        }
    }

    private func send(_ text: String) async throws {
        let outcome = try await transport.publish(Array(text.utf8), exchange: "", routingKey: queue, mandatory: true)
        try #require(outcome == .confirmed)
    }

    private func start() async throws {
        try await transport.startConsuming()
        while !transport.isReady { try await Task.sleep(for: .milliseconds(5)) }
    }

    /// Consumes, and hands what arrives to a reader who keeps its place.
    private func consuming(_ body: (inout Reader) async throws -> Void) async throws {
        try await start()
        var reader = Reader(base: transport.inbound.makeAsyncIterator())
        try await body(&reader)
    }

    private struct Reader {
        var base: Subject.Inbound.AsyncIterator

        mutating func next() async throws -> InboundMessage { try #require(await base.next(isolation: nil)) }
        mutating func text() async throws -> (String, InboundMessage) {
            let message = try await next()
            return (String(decoding: message.body, as: UTF8.self), message)
        }
    }

    private func deliversInOrder() async throws {
        try await consuming { reader in
            for number in 0..<20 { try await send("\(number)") }
            for number in 0..<20 {
                let (text, message) = try await reader.text()
                #expect(text == "\(number)" && !message.redelivered)
                await transport.acknowledge(message.tag)
            }
        }
    }

    private func deliversWhatWasPublished() async throws {
        try await consuming { reader in
            let properties = AMQPProperties(
                contentType: "application/json", correlationID: "id", replyTo: "r", messageID: "m")
            _ = try await transport.publish(
                Array("{}".utf8), properties: properties, exchange: "", routingKey: queue, mandatory: true)
            let message = try await reader.next()
            #expect(message.body == Array("{}".utf8) && message.routingKey == queue && message.exchange == "")
            #expect(message.properties.contentType == "application/json" && message.properties.correlationID == "id")
            #expect(message.properties.messageID == "m" && message.properties.replyTo == "r")
            await transport.acknowledge(message.tag)
        }
    }

    private func settlesOnce() async throws {
        try await consuming { reader in
            try await send("first")
            let message = try await reader.next()
            #expect(transport.awaitsSettlement(message.tag))
            await transport.acknowledge(message.tag)
            #expect(!transport.awaitsSettlement(message.tag))
            // None of these is heard of again.
            await transport.acknowledge(message.tag)
            await transport.requeue(message.tag)
            await transport.reject(message.tag)
            try await send("second")
            #expect(try await reader.text().0 == "second")
        }
    }

    private func requeues() async throws {
        try await consuming { reader in
            try await send("again")
            let (_, first) = try await reader.text()
            await transport.requeue(first.tag)
            let (text, second) = try await reader.text()
            #expect(text == "again" && second.redelivered)
            #expect(second.tag != first.tag && transport.awaitsSettlement(second.tag))
            await transport.acknowledge(second.tag)
        }
    }

    private func rejectsForGood() async throws {
        try await consuming { reader in
            try await send("bad")
            await transport.reject(try await reader.next().tag)
            try await send("good")
            let (text, message) = try await reader.text()
            #expect(text == "good" && !message.redelivered)
        }
    }

    private func returnsWhatHasNoQueue() async throws {
        let body = Array("lost".utf8)
        #expect(try await transport.publish(body, exchange: "", routingKey: "no.\(queue)", mandatory: true) == .returned)
        #expect(try await transport.publish(body, exchange: "", routingKey: "no.\(queue)", mandatory: false) == .confirmed)
    }

    private func stopsAndGoesOn() async throws {
        try await consuming { reader in
            try await send("before")
            let (_, message) = try await reader.text()
            await transport.stopConsuming()
            #expect(!transport.isReady)
            // What was delivered can still be settled.
            #expect(transport.awaitsSettlement(message.tag))
            await transport.acknowledge(message.tag)
            try await start()
            try await send("after")
            #expect(try await reader.text().0 == "after")
        }
    }

    private func endsWhenClosed() async throws {
        try await consuming { reader in
            await transport.close()
            #expect(await reader.base.next(isolation: nil) == nil)
            #expect(!transport.isReady)
            await #expect(throws: TransportError.self) { try await send("late") }
            await #expect(throws: TransportError.self) { try await transport.waitUntilPublishable() }
        }
    }
}

/// A part of what every transport must do.
enum TransportRule: String, CaseIterable {
    case deliversInOrder, deliversWhatWasPublished, settlesOnce, requeues, rejectsForGood, returnsWhatHasNoQueue, stopsAndGoesOn
    case endsWhenClosed
}
