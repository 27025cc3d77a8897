import Basics
import AMQP
package import JSON
package import Logging
import Synchronization

/// Calls methods of an RPC server, as oslo.messaging's `RPCClient` does.
///
/// Replies arrive on its own queue, which the transport declares (``OsloTopology/replies(queue:prefetch:)``).
package final class RPCClient: Sendable {
    /// The server that a request is for.
    package struct Target: Sendable, Hashable, CustomStringConvertible {
        /// The server's topic.
        package let topic: String
        /// A specific host's server; nil for any server of the topic.
        package let host: String?

        package init(topic: String, host: String? = nil) {
            self.topic = topic
            self.host = host
        }

        /// `TOPIC.HOST` or `TOPIC`.
        package var routingKey: String { host.map { "\(topic).\($0)" } ?? topic }
        package var description: String { routingKey }
    }

    private let transport: any Transport
    private let exchange: String
    private let replyQueue: String
    private let logger: Logger
    private let calls = Mutex<[String: PendingCall]>([:])

    /// - Parameters:
    ///   - transport: Consumes from `replyQueue`; run by ``run()``.
    ///   - exchange: The control exchange.
    package init(transport: any Transport, exchange: String, replyQueue: String, logger: Logger) {
        self.transport = transport
        self.exchange = exchange
        self.replyQueue = replyQueue
        self.logger = logger
    }

    /// A new reply queue name in oslo's form.
    package static func makeReplyQueueName() -> String { "reply_" + UniqueID.random() }

    /// Runs the transport and dispatches replies until it is closed or the task is cancelled.
    ///
    /// - Throws: Whatever ends the transport.
    package func run() async throws {
        defer { failAll() }
        try await transport.startConsuming()
        try await withThrowingTaskGroup { group in
            group.addTask { try await self.transport.run() }
            group.addTask { await self.takeReplies(self.transport) }
            try await group.next()
            group.cancelAll()
        }
    }

    /// Fails all pending calls with `closed`, and closes the transport.
    package func close() async {
        await transport.close()
        failAll()
    }

    /// Sends a request and waits for its final reply. The message expires with the call, so that an abandoned request is not
    /// carried out hours later.
    ///
    /// - Parameters:
    ///   - timeout: For the whole call.
    ///   - callMonitorTimeout: Requests heartbeats; the call fails early after this long without one.
    /// - Throws: ``RemoteFailure`` as the server sent it, ``RPCClientError``, or `CancellationError`.
    package func call(
        _ method: String, args: JSONObject = [:], target: Target, timeout: Duration, callMonitorTimeout: Duration? = nil,
        version: String = "1.0", context: JSONObject = [:]
    ) async throws -> JSONValue {
        let messageID = UniqueID.random()
        var inner = Self.request(method, args, version, context)
        inner["_msg_id"] = .string(messageID)
        inner["_reply_q"] = .string(replyQueue)
        inner["_timeout"] = callMonitorTimeout.map(Self.json) ?? .null
        let call = PendingCall(timeout: timeout, callMonitorTimeout: callMonitorTimeout)
        calls.withLock { $0[messageID] = call }
        defer { calls.withLock { $0[messageID] = nil } }

        let patience = min(timeout, callMonitorTimeout ?? timeout)
        let deadline = ContinuousClock.now + patience
        let body = MessageEnvelope.wrap(inner)
        return try await alongside([{ try await call.expire() }]) {
            try await self.send(body, to: target, until: deadline)
            return try await call.value()
        }
    }

    /// Sends a request that has no reply.
    ///
    /// - Parameter timeout: How long the message may wait in its queue; nil means forever.
    /// - Throws: ``RPCClientError`` if the broker does not accept the request.
    package func cast(
        _ method: String, args: JSONObject = [:], target: Target, timeout: Duration? = nil, version: String = "1.0",
        context: JSONObject = [:]
    ) async throws(RPCClientError) {
        let body = MessageEnvelope.wrap(Self.request(method, args, version, context))
        try await send(body, to: target, until: timeout.map { .now + $0 })
    }

    private static func request(_ method: String, _ args: JSONObject, _ version: String, _ context: JSONObject) -> JSONObject {
        var inner: JSONObject = [
            "method": .string(method), "args": .object(args), "version": .string(version),
            "_unique_id": .string(UniqueID.random()),
        ]
        for (key, value) in context { inner[RPCRequest.contextPrefix + key] = value }
        return inner
    }

    /// Seconds, as an integer if they are whole.
    private static func json(_ duration: Duration) -> JSONValue {
        let seconds = duration.inSeconds
        return Int64(exactly: seconds).map { .integer($0) } ?? .real(seconds)
    }

    /// AMQP's expiration is a string of milliseconds; RabbitMQ accepts at most 32 bits.
    private static func expiration(at deadline: ContinuousClock.Instant) -> String {
        let milliseconds = ((deadline - .now) / .milliseconds(1)).rounded(.up)
        return String(Int64(min(max(milliseconds, 1), 4_294_967_295)))
    }

    /// Publishes a request, waiting while the broker is unreachable.
    private func send(
        _ body: [UInt8], to target: Target, until deadline: ContinuousClock.Instant?
    ) async throws(RPCClientError) {
        while true {
            do {
                try await transport.waitUntilPublishable()
                var properties = AMQPProperties.oslo
                properties.expiration = deadline.map(Self.expiration)
                let outcome = try await transport.publish(
                    body, properties: properties, exchange: exchange, routingKey: target.routingKey, mandatory: true)
                guard outcome == .confirmed else {
                    throw RPCClientError.unroutable(target: "\(target) (exchange \(exchange))")
                }
                return
            } catch let error as RPCClientError {
                throw error
            } catch let error as TransportError {
                guard error.isRetriable else { throw error.code == .closed ? .closed : .transport(error) }
                do { try await Task.sleep(for: .milliseconds(250)) } catch { throw .closed }
            } catch { throw .closed }
        }
    }

    private func takeReplies(_ transport: some Transport) async {
        for await message in transport.inbound {
            do {
                let reply = try RPCReply(decoding: message.decompressed.body)
                calls.withLock { $0[reply.messageID] }?.receive(reply)
            } catch {
                logger.warning("reply cannot be read", metadata: ["reason": "\(error)"])
            }
            await transport.acknowledge(message.tag)
        }
    }

    private func failAll() {
        for call in calls.withLock({ Array($0.values) }) { call.fail(RPCClientError.closed) }
    }
}
