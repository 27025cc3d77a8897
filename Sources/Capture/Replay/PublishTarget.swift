import AMQP
import JSON
package import OsloMessaging
import Synchronization

/// Replays to a broker: each message to the exchange and routing key it was recorded from, answers to a queue of the replay's
/// own.
package final class PublishTarget: ReplayTarget {
    /// Where messages are published, if not to their recorded address.
    package struct Destination: Sendable {
        /// Nil publishes to the recorded exchange.
        package var exchange: String?
        /// Nil publishes with the recorded routing key.
        package var routingKey: String?

        package init(exchange: String? = nil, routingKey: String? = nil) {
            self.exchange = exchange
            self.routingKey = routingKey
        }
    }

    private struct State {
        var callers: [String: @Sendable (ReplayOutcome) -> Void] = [:]
        var lastAnswer = ContinuousClock.now
    }

    private let transport: any Transport
    private let replyQueue: String
    private let destination: Destination
    private let patience: Duration
    private let state = Mutex(State())

    /// - Parameters:
    ///   - transport: Consumes from `replyQueue`; run by its owner.
    ///   - patience: After this long without any answer or heartbeat, missing answers count as lost.
    package init(transport: any Transport, replyQueue: String, destination: Destination, patience: Duration) {
        self.transport = transport
        self.replyQueue = replyQueue
        self.destination = destination
        self.patience = patience
    }

    /// Reads answers until cancelled.
    package func run() async {
        await withDiscardingTaskGroup { group in
            group.addTask { [self] in await readAnswers() }
            group.addTask { [self] in await giveUpInTime() }
        }
    }

    package func send(_ message: ReplayMessage, completion: @escaping @Sendable (ReplayOutcome) -> Void) async {
        var body = message.line.body.bytes
        var caller: String?
        if case .request(let request) = message.content, let id = request.messageID {
            var inner = request.inner
            inner["_reply_q"] = .string(replyQueue)
            // Heartbeats show that a worker is serving the call.
            if request.timeout == nil { inner["_timeout"] = .integer(Int64(max(1, patience / .seconds(2)))) }
            body = MessageEnvelope.wrap(inner)
            caller = id
        }
        if let caller {
            let isFirst = state.withLock { state in
                if state.callers[caller] != nil { return false }
                state.callers[caller] = completion
                state.lastAnswer = .now
                return true
            }
            if !isFirst { return await publish(body, message) { completion($0 ?? .duplicate) } }
        }
        await publish(body, message) { [self] outcome in
            guard let caller else { return completion(outcome ?? .accepted) }
            if let outcome { take(caller)?(outcome) }
        }
    }

    package func finish() async {}

    /// - Parameter done: Called with nil once the broker has confirmed the message.
    private func publish(_ body: [UInt8], _ message: ReplayMessage, done: (ReplayOutcome?) -> Void) async {
        let exchange = destination.exchange ?? message.line.exchange
        let key = destination.routingKey ?? message.line.routingKey
        let properties = Self.properties(message.line.properties)
        while true {
            do {
                switch try await transport.publish(
                    body, properties: properties, exchange: exchange, routingKey: key, mandatory: true)
                {
                case .confirmed: return done(nil)
                case .returned: return done(.lost(reason: "nobody listens on '\(key)' of exchange '\(exchange)'"))
                }
            } catch {
                guard error.isRetriable, !Task.isCancelled else { return done(.lost(reason: error.message)) }
                do { try await transport.waitUntilPublishable() } catch { return done(.lost(reason: error.message)) }
            }
        }
    }

    /// The recorded properties without the user, which the broker would refuse, and without the recorded reply address.
    private static func properties(_ recorded: AMQPProperties) -> AMQPProperties {
        guard recorded != AMQPProperties() else { return .oslo }
        var properties = recorded
        properties.userID = nil
        properties.replyTo = nil
        // RabbitMQ would send copies to the recorded keys.
        properties.headers = properties.headers.filter { !["cc", "bcc"].contains($0.key.lowercased()) }
        return properties
    }

    private func readAnswers() async { await readAnswers(transport) }

    private func readAnswers(_ transport: some Transport) async {
        for await message in transport.inbound {
            await transport.acknowledge(message.tag)
            let body = message.decompressed.body
            guard let reply = try? RPCReply(decoding: body) else { continue }
            state.withLock { $0.lastAnswer = .now }
            if reply.isFinal { take(reply.messageID)?(.reply(reply.content, body: body)) }
        }
    }

    private func giveUpInTime() async {
        while true {
            let due = state.withLock { $0.lastAnswer } + patience
            if due > .now {
                guard (try? await Task.sleep(until: due, clock: .continuous)) != nil else { return }
                continue
            }
            let lost = state.withLock { state in
                state.lastAnswer = .now
                defer { state.callers = [:] }
                return state.callers.values
            }
            for completion in lost { completion(.lost(reason: "no answer within \(patience)")) }
        }
    }

    private func take(_ caller: String) -> (@Sendable (ReplayOutcome) -> Void)? {
        state.withLock { $0.callers.removeValue(forKey: caller) }
    }
}
