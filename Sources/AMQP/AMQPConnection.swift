internal import Basics
internal import Foundation
package import Logging

/// What happens to a connection.
package enum AMQPConnectionEvent: Sendable {
    /// Established, topology declared; `epoch` is that of the delivery tags to come.
    case connected(epoch: UInt64, endpoint: AMQPEndpoint)
    case disconnected(AMQPError)
    /// The broker stopped reading publishes (memory or disk alarm); they are held until `unblocked`.
    case blocked(reason: String)
    case unblocked
    /// The broker ended a consumer, usually because its queue was deleted; the connection declares and consumes again.
    case consumerCancelled(tag: String)
}

/// A connection to RabbitMQ that keeps itself up: one thread owns librabbitmq's state and its socket and always pumps it, for
/// librabbitmq sends and checks heartbeats only inside its own calls; everyone else posts commands to that thread.
///
/// Its topology is declared again, in order, on each connect. Settlements travel on the same TCP connection as publishes: while
/// the broker blocks publishers it reads neither, so a server under alarms wants a second connection for its publishes.
package final class AMQPConnection: Sendable {
    private let context: IOContext
    private let core: ConnectionCore
    /// For one reader. Bounded by the consumers' ``ConsumerDeclaration/prefetch``.
    package let deliveries: AMQPDeliveries
    /// The newest 64 that were not read yet.
    package let events: AsyncStream<AMQPConnectionEvent>

    /// - Parameters:
    ///   - topology: declared on each connect; its consumers wait for ``startConsuming()``.
    ///   - deliveryBuffer: the prefetch of consumers that name none.
    package init(
        configuration: AMQPConfiguration, topology: AMQPTopology = AMQPTopology(), deliveryBuffer: Int = 256, logger: Logger
    ) {
        let core = ConnectionCore(publishLimit: configuration.publishLimit)
        let buffer = DeliveryBuffer()
        let (events, continuation) = AsyncStream.makeStream(of: AMQPConnectionEvent.self, bufferingPolicy: .bufferingNewest(64))
        self.core = core
        self.events = events
        deliveries = AMQPDeliveries(buffer: buffer)
        context = IOContext(
            configuration: configuration, topology: topology, defaultPrefetch: UInt16(clamping: max(1, deliveryBuffer)),
            core: core, deliveries: buffer, events: continuation, logger: logger)
    }

    /// Connects and stays connected until ``close()`` or until the task is cancelled, which closes cleanly as well.
    ///
    /// After a failure it tries the next endpoint, and after the last one waits (exponential back-off, full jitter).
    /// - Throws: `invalidArgument` if there is no endpoint, or if it was run before.
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
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let thread = Thread { [context] in
                    IOLoop(context: context).run()
                    continuation.resume()
                }
                thread.name = "amqp"
                // librabbitmq decodes nested tables by recursion, as deep as a header frame allows.
                thread.stackSize = 32 << 20
                let watch = Thread { [context] in context.silence.run() }
                watch.name = "amqp-silence"
                watch.start()
                thread.start()
            }
        } onCancel: {
            core.requestClose()
        }
    }

    package var isConnected: Bool { core.withState { $0.phase == .connected } }
    /// Whether the broker knows all consumers of the topology given at the start, and there are any; those of
    /// ``unavailableQueues`` aside.
    package var isConsuming: Bool { core.withState(\.isConsuming) }
    /// Queues that are out of reach, and why; they are tried again and again.
    package var unavailableQueues: [String] { core.withState(\.unavailableQueues) }
    package var isBlocked: Bool { core.withState(\.isBlocked) }
    /// For how long the IO thread has been at one thing; zero while it sleeps until there is something to do.
    package var standstill: Duration { core.withState(\.standstill) }

    /// Returns once the connection is established and its topology declared.
    /// - Throws: `CancellationError`, or `connectionClosed` once it is closed.
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

    /// basic.ack; it is sent in the order of the calls and not waited for.
    /// - Returns: false if the tag's epoch is gone (the broker redelivers) or it was settled before; both are harmless.
    package func acknowledge(_ tag: DeliveryTag) async -> Bool {
        core.post(.acknowledge(tag)) { $0.ledger.claim(tag) }
    }

    /// basic.reject; as ``acknowledge(_:)``. Without `requeue` the message goes to the queue's dead-letter exchange, if any.
    package func reject(_ tag: DeliveryTag, requeue: Bool) async -> Bool {
        core.post(.reject(tag, requeue: requeue)) { $0.ledger.claim(tag) }
    }

    /// Whether a delivery can still be settled. After its epoch the broker redelivers it.
    package func awaitsSettlement(_ tag: DeliveryTag) -> Bool { core.withState { $0.ledger.awaits(tag) } }

    /// Publishes and waits for the broker's confirm; any number of calls may be under way at once.
    ///
    /// - Throws: `notConnected`, `overflow`, `nacked`, `connectionClosed`, `timedOut` (all retriable: the message may have
    ///   arrived or not), `channelClosed` (404 and not retriable for the publish to a missing exchange, retriable for those
    ///   that were under way beside it), or `invalidArgument`.
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

    /// Starts the consumers of the topology given at the start, now or as soon as there is a connection, and keeps them.
    package func startConsuming() async { await setConsuming(true) { .startConsuming($0) } }

    /// basic.cancel for the consumers that ``startConsuming()`` started; what was delivered can still be read and settled.
    package func stopConsuming() async { await setConsuming(false) { .stopConsuming($0) } }

    private func setConsuming(_ wanted: Bool, _ command: @Sendable (Reply<Void>) -> Command) async {
        core.withState { $0.wantsConsuming = wanted }
        let reply = Reply<Void>()
        if core.post(command(reply), if: { $0.phase == .connected }) { _ = await reply.value() }
    }

    /// Declares more, starts its consumers at once, and keeps it all for later connects; nothing is kept if it throws.
    ///
    /// - Parameter isKept: false declares it this once; a later connect cannot fail because of it.
    /// - Returns: the names the broker gave to queues declared without one, in order.
    /// - Throws: `channelClosed` with the broker's reply code if it refuses, `notConnected`, `invalidArgument`, or a lost connection.
    @discardableResult
    package func declare(_ topology: AMQPTopology, isKept: Bool = true) async throws(AMQPError) -> [String] {
        let reply = Reply<[String]>()
        guard core.post(.declare(topology, isKept: isKept, reply), if: { $0.phase == .connected }) else { throw .noConnection }
        return try await reply.value().get()
    }

    /// Sends what is queued, waits up to 5 s for confirms under way, closes channels and connection, and ends ``run()``.
    ///
    /// While a connect is under way it takes that connect's time-out at most.
    package func close() async {
        core.requestClose()
        await core.withState { $0.phase == .finished ? nil : $0.finishWaiters.add() }?.value()
        context.finish()
    }
}

extension AMQPConfiguration {
    func validate() throws(AMQPError) {
        let users = [credentials] + endpoints.compactMap(\.credentials)
        let texts = [virtualHost, connectionName] + endpoints.map(\.host) + users.flatMap { [$0.username, $0.password] }
        // They pass through C strings, and a longer virtual host does not fit its field.
        guard virtualHost.utf8.count <= 255, texts.allSatisfy({ $0.utf8.count <= 1024 && !$0.utf8.contains(0) }) else {
            throw AMQPError(
                code: .invalidArgument, message: "virtual host, user name, password or host name too long or with a NUL")
        }
        guard maxBackoff >= initialBackoff, initialBackoff > .zero, publishLimit > 0 else {
            throw AMQPError(code: .invalidArgument, message: "back-off and publish limit must be positive")
        }
    }
}
