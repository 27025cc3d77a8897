internal import Basics
internal import Glibc
internal import Logging

/// Everything the IO thread works with.
struct IOContext: Sendable {
    let configuration: AMQPConfiguration
    let topology: AMQPTopology
    let defaultPrefetch: UInt16
    let core: ConnectionCore
    let deliveries: AMQPDeliveries
    let events: AsyncStream<AMQPConnectionEvent>.Continuation
    let logger: Logger
    let silence = SilenceGuard()

    func prefetch(_ consumer: ConsumerDeclaration) -> UInt16 {
        consumer.prefetch == 0 ? defaultPrefetch : consumer.prefetch
    }

    /// The window for a newly opened consuming channel; nil if bytes are not bounded.
    var freshWindow: DeliveryWindow? {
        guard let bytes = configuration.deliveryBytes else { return nil }
        let consumers = topology.consumers
        return DeliveryWindow(
            bytes: bytes, bodyLimit: configuration.bodyLimit, wide: consumers.map(prefetch).max() ?? defaultPrefetch,
            consumers: consumers.count, mayShut: topology.outlivesConsumers)
    }

    func finish() {
        silence.finish()
        core.finish()
        deliveries.finish()
        events.finish()
    }
}

/// The IO thread's life: connect, serve until the connection ends, wait, connect again.
final class IOLoop {
    private let context: IOContext
    private let registry: TopologyRegistry
    private var backoff: Backoff
    private var repeats = RepeatFilter()
    private var establishedAt: ContinuousClock.Instant?
    private var generator = SystemRandomNumberGenerator()

    init(context: IOContext) {
        self.context = context
        registry = TopologyRegistry(context.topology)
        backoff = Backoff(first: context.configuration.initialBackoff, longest: context.configuration.maxBackoff)
    }

    func run() {
        let endpoints = context.configuration.endpoints
        var (index, failures) = (0, 0)
        while !isClosing {
            let endpoint = endpoints[index]
            context.core.noteTurn()
            let started = ContinuousClock.now
            establishedAt = nil
            do throws(AMQPError) {
                try serve(endpoint)
            } catch {
                // A connection that lasted shows that the broker is well; one that ends at once must not be retried in a hot
                // loop.
                let minimum = max(.seconds(5), context.configuration.initialBackoff * 2)
                if ContinuousClock.now - started > minimum {
                    backoff.reset()
                    failures = 0
                }
                if let establishedAt, ContinuousClock.now - establishedAt > minimum { repeats.reset() }
                report(error, endpoint: endpoint)
                failures += 1
                index = (index + 1) % endpoints.count
                if failures % endpoints.count == 0 { pause(backoff.jitteredPause(using: &generator)) }
            }
        }
        context.finish()
    }

    private var isClosing: Bool { context.core.withState(\.isClosing) }

    /// Serves one connection until it is closed cleanly.
    ///
    /// - Throws: The ``AMQPError`` that ended it otherwise.
    private func serve(_ endpoint: AMQPEndpoint) throws(AMQPError) {
        let session = try Session(endpoint: endpoint, configuration: context.configuration)
        let live = LiveConnection(session: session, context: context, registry: registry)
        if session.heartbeat > .zero { context.silence.watch(session.descriptor, limit: session.heartbeat * 2) }
        do throws(AMQPError) {
            try live.establish()
            establishedAt = .now
            context.logger.info("connected to RabbitMQ", metadata: ["endpoint": "\(endpoint)"])
            try live.pump()
        } catch {
            live.rejectUnreadable(error)
            let outcome = context.silence.release() ? AMQPError.silent(session.heartbeat * 2) : error
            live.abandon(outcome)
            throw outcome
        }
        _ = context.silence.release()
        live.abandon(.closedByUs)
        context.events.yield(.disconnected(.closedByUs, endpoint: endpoint))
    }

    private func report(_ error: AMQPError, endpoint: AMQPEndpoint) {
        context.events.yield(.disconnected(error, endpoint: endpoint))
        guard let repeated = repeats.pass("\(endpoint) \(error)", at: .now) else { return }
        var metadata: Logger.Metadata = ["endpoint": "\(endpoint)", "reason": "\(error.message)"]
        if let replyCode = error.replyCode { metadata["reply_code"] = "\(replyCode)" }
        if repeated > 0 { metadata["repeats"] = "\(repeated)" }
        switch error.code {
        case .authenticationFailed:
            context.logger.error("RabbitMQ refused the user name, password or virtual host", metadata: metadata)
        case .channelClosed:
            context.logger.error("RabbitMQ refused a declaration: \(error.advice)", metadata: metadata)
        default:
            context.logger.warning("no connection to RabbitMQ: \(error.code)", metadata: metadata)
        }
    }

    /// Waits without a connection; a close ends it early.
    private func pause(_ delay: Duration) {
        let end = ContinuousClock.now + delay
        while !isClosing, ContinuousClock.now < end {
            Self.refuse(context.core.takeCommands().commands, .noConnection)
            guard context.core.prepareToSleep(knowsClosing: false) else { continue }
            wait(for: [context.core.wakeDescriptor], until: end)
            context.core.drainWakeUps()
        }
    }

    /// Answers commands that can no longer be carried out.
    static func refuse(_ commands: [Command], _ error: AMQPError) {
        for command in commands {
            switch command {
            case .publish(let publish): publish.reply.resume(.failure(error))
            case .declare(_, _, let reply): reply.resume(.failure(error))
            case .startConsuming(let reply), .stopConsuming(let reply): reply.resume(.success(()))
            case .acknowledge, .reject: break
            }
        }
    }
}

/// Sleeps until a descriptor is readable or `deadline` passes (nil: no limit). Returns which descriptors are readable.
@discardableResult
func wait(for descriptors: [Int32], until deadline: ContinuousClock.Instant?) -> [Bool] {
    var polled = descriptors.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
    var timeout: Int32 = -1
    if let deadline {
        let (seconds, attoseconds) = max(.zero, deadline - .now).components
        // Rounded up, or we would busy-loop for the last fraction of a millisecond.
        timeout = Int32(clamping: min(seconds, 1_000_000) * 1000 + (attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000)
    }
    _ = unsafe poll(&polled, nfds_t(polled.count), timeout)
    return polled.map { $0.revents != 0 }
}
