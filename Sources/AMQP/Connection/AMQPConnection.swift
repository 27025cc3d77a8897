internal import Basics
internal import Foundation
package import Logging

/// A change in a connection's state.
package enum AMQPConnectionEvent: Sendable {
    /// Established and the topology declared; delivery tags now carry this `epoch`.
    case connected(epoch: UInt64, endpoint: AMQPEndpoint)
    /// A connect to the endpoint failed, or the connection ended.
    case disconnected(AMQPError, endpoint: AMQPEndpoint)
    /// The broker stopped reading publishes (memory or disk alarm); they are held until `unblocked`.
    case blocked(reason: String)
    /// The broker reads publishes again.
    case unblocked
    /// The broker ended a consumer, usually because its queue was deleted; the connection redeclares it and consumes again.
    case consumerCancelled(tag: String)
}

/// A connection to RabbitMQ that reconnects on its own.
///
/// One thread owns librabbitmq's state and socket and pumps it continuously, because librabbitmq sends and checks heartbeats only
/// inside its own calls; everyone else posts commands to that thread. The topology is redeclared, in order, on each connect.
/// Settlements share the TCP connection with publishes, and a broker that blocks publishers reads neither: use a second
/// connection for publishes.
package final class AMQPConnection: Sendable {
    private let context: IOContext
    private let core: ConnectionCore
    /// For a single reader. Bounded by the consumers' ``ConsumerDeclaration/prefetch``.
    package let deliveries = AMQPDeliveries()
    /// For a single reader; keeps at most the newest 64 unread events.
    package let events: AsyncStream<AMQPConnectionEvent>

    /// - Parameters:
    ///   - topology: Declared on each connect; its consumers wait for ``startConsuming()``.
    ///   - deliveryBuffer: The prefetch of consumers that do not set one.
    package init(
        configuration: AMQPConfiguration, topology: AMQPTopology = AMQPTopology(), deliveryBuffer: Int = 256, logger: Logger
    ) {
        let core = ConnectionCore(publishLimit: configuration.publishLimit)
        let (events, continuation) = AsyncStream.makeStream(of: AMQPConnectionEvent.self, bufferingPolicy: .bufferingNewest(64))
        self.core = core
        self.events = events
        context = IOContext(
            configuration: configuration, topology: topology, defaultPrefetch: UInt16(clamping: max(1, deliveryBuffer)),
            core: core, deliveries: deliveries, events: continuation, logger: logger)
    }

    /// Connects and stays connected until ``close()`` or until the task is cancelled, which also closes cleanly.
    ///
    /// After a failure it tries the next endpoint; after the last one it waits (exponential back-off, full jitter).
    /// - Throws: `invalidArgument` if there is no endpoint or it has run before; `overflow` if no file descriptor is left.
    package func run() async throws(AMQPError) {
        guard !context.configuration.endpoints.isEmpty else {
            throw AMQPError(code: .invalidArgument, message: "no broker address")
        }
        guard core.wakeDescriptor >= 0 else {
            throw AMQPError(code: .overflow, message: "no file descriptor left for the IO thread's wake-up")
        }
        try context.configuration.validate()
        let (isFirst, isClosed) = core.withState { state in
            guard state.phase == .idle else { return (false, state.phase == .finished) }
            state.phase = .disconnected
            return (true, false)
        }
        guard isFirst else {
            guard isClosed else { throw AMQPError(code: .invalidArgument, message: "the connection runs already") }
            context.finish()
            return
        }
        let ended = Waiter<Void>()
        let thread = Thread { [context] in
            IOLoop(context: context).run()
            ended.resume()
        }
        thread.name = "amqp"
        // librabbitmq decodes nested tables by recursion, as deep as a header frame allows.
        thread.stackSize = 32 << 20
        let watch = Thread { [context] in context.silence.run() }
        watch.name = "amqp-silence"
        watch.start()
        thread.start()
        await withTaskCancellationHandler {
            await ended.value()
        } onCancel: {
            core.requestClose()
        }
    }

    /// Whether the connection is established and its topology declared.
    package var isConnected: Bool { core.withState { $0.phase == .connected } }
    /// Whether the initial topology has consumers and all of them run, except those of ``unavailableQueues``.
    package var isConsuming: Bool { core.withState(\.isConsuming) }
    /// Queues that cannot be reached for now, each with the reason; they are retried.
    package var unavailableQueues: [String] { core.withState(\.unavailableQueues) }
    /// Whether the broker has stopped reading publishes (connection.blocked).
    package var isBlocked: Bool { core.withState(\.isBlocked) }
    /// How long the IO thread has been busy with a single step; zero while it sleeps.
    package var standstill: Duration { core.withState(\.standstill) }

    /// Returns once the connection is established and its topology declared.
    /// - Throws: `CancellationError`, or an ``AMQPError`` `connectionClosed` once the connection has been closed.
    package func waitUntilConnected() async throws {
        let reply = core.withState { state in
            switch state.phase {
            case .connected: Reply<Void>(.success(()))
            case .finished: Reply<Void>(.failure(.closedByUs))
            case .idle, .disconnected: state.connectWaiters.add()
            }
        }
        let result = await reply.value(ifCancelled: .failure(.closedByUs))
        if case .failure = result { try Task.checkCancellation() }
        try result.get()
    }

    /// Queues a basic.ack, in the order of the calls, without waiting for it to be sent.
    /// - Returns: false if the tag's epoch has ended (the broker redelivers) or it was already settled; both are harmless.
    package func acknowledge(_ tag: DeliveryTag) async -> Bool {
        core.post(.acknowledge(tag)) { $0.ledger.claim(tag) }
    }

    /// Queues a basic.reject, like ``acknowledge(_:)``. Without `requeue` the message goes to the dead-letter exchange, if any.
    package func reject(_ tag: DeliveryTag, requeue: Bool) async -> Bool {
        core.post(.reject(tag, requeue: requeue)) { $0.ledger.claim(tag) }
    }

    /// Whether a delivery can still be settled. Once its epoch has ended the broker redelivers it.
    package func awaitsSettlement(_ tag: DeliveryTag) -> Bool { core.withState { $0.ledger.awaits(tag) } }

    /// Publishes and waits for the broker's confirm; calls may run concurrently.
    ///
    /// - Throws: `notConnected`, `overflow`, `nacked`, `connectionClosed` or `timedOut` (all retriable: the message may or may
    ///   not have arrived), `channelClosed` (404, not retriable, for a publish to a missing exchange; retriable for others that
    ///   were in flight), or `invalidArgument`.
    package func publish(
        _ message: AMQPMessage, exchange: String, routingKey: String, mandatory: Bool = false
    ) async throws(AMQPError) -> PublishConfirmation {
        guard exchange.utf8.count <= 255, routingKey.utf8.count <= 255 else {
            throw AMQPError(code: .invalidArgument, message: "exchange or routing key is longer than 255 bytes")
        }
        let deadline = ContinuousClock.now + context.configuration.publishTimeout
        let limit = core.publishLimit
        let publish = PendingPublish(
            message: message, exchange: exchange, routingKey: routingKey, mandatory: mandatory, deadline: deadline)
        var refusal = AMQPError.noConnection
        let isAdmitted = core.post(.publish(publish)) { state in
            guard state.phase == .connected else { return false }
            guard state.publishesInFlight < limit else {
                refusal = AMQPError(code: .overflow, message: "\(limit) publishes are in flight")
                return false
            }
            state.publishesInFlight += 1
            return true
        }
        guard isAdmitted else { throw refusal }
        return try await publish.reply.value().get()
    }

    /// Starts the consumers of the initial topology, now or once connected, and restarts them after each reconnect.
    package func startConsuming() async { await setConsuming(true) { .startConsuming($0) } }

    /// Cancels the consumers that ``startConsuming()`` started; messages already delivered can still be read and settled.
    package func stopConsuming() async { await setConsuming(false) { .stopConsuming($0) } }

    private func setConsuming(_ wanted: Bool, _ command: @Sendable (Reply<Void>) -> Command) async {
        let reply = Reply<Void>()
        let isConnected = core.post(command(reply)) { state in
            state.wantsConsuming = wanted
            return state.phase == .connected
        }
        if isConnected { _ = await reply.value() }
    }

    /// Declares more topology, starts its consumers at once, and redeclares it on later connects; nothing is kept if it throws.
    ///
    /// - Parameter isKept: Pass false to declare it only now, so that a later connect cannot fail because of it.
    /// - Returns: The names the broker gave to queues declared without one, in order.
    /// - Throws: `channelClosed` with the broker's reply code if it refuses, `notConnected`, `invalidArgument`, or a lost
    ///   connection.
    @discardableResult
    package func declare(_ topology: AMQPTopology, isKept: Bool = true) async throws(AMQPError) -> [String] {
        let reply = Reply<[String]>()
        guard core.post(.declare(topology, isKept: isKept, reply), if: { $0.phase == .connected }) else { throw .noConnection }
        return try await reply.value().get()
    }

    /// Sends what is queued, waits up to 5 s for outstanding confirms, closes channels and connection, and ends ``run()``.
    ///
    /// During a connect it takes at most that connect's time-out.
    package func close() async {
        core.requestClose()
        await core.withState { $0.phase == .finished ? nil : $0.finishWaiters.add() }?.value()
        context.finish()
    }
}

extension AMQPConfiguration {
    func validate() throws(AMQPError) {
        let users = endpoints.map(\.credentials)
        let texts = [virtualHost, connectionName] + endpoints.map(\.host) + users.flatMap { [$0.username, $0.password] }
        // These become C strings, and AMQP limits the virtual host to 255 bytes.
        guard virtualHost.utf8.count <= 255, texts.allSatisfy({ $0.utf8.count <= 1024 && !$0.utf8.contains(0) }) else {
            throw AMQPError(
                code: .invalidArgument, message: "virtual host, user name, password or host name too long or with a NUL")
        }
        guard maxBackoff >= initialBackoff, initialBackoff > .zero, publishLimit > 0 else {
            throw AMQPError(code: .invalidArgument, message: "back-off and publish limit must be positive")
        }
    }
}
