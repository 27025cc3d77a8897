import JSON
import OrderedCollections
package import Logging
import Synchronization

/// Serves RPC requests that a transport delivers.
///
/// Mirrors oslo.messaging's `RPCDispatcher` towards clients, but acknowledges only once a request is answered or journaled.
/// Runs inside ``run()``; the transport and the ``ReplyPublisher`` are run by their owner, and must outlive it.
package final class RPCServer: Sendable {
    package struct Configuration: Sendable {
        /// Methods the endpoint carries out.
        package var methods: Set<String>
        /// The interface version served.
        package var version: RPCVersion
        /// Requests worked on at once; further ones wait in the transport's buffer and the broker.
        package var maxConcurrentRequests: Int
        /// Bytes of their bodies, likewise: a body takes up to 90 times its size once it is read. One is always taken.
        package var maxConcurrentBytes: Int
        /// Makes the answer to messages that are no valid request.
        package var failures: NovaFailure

        package init(
            methods: Set<String>, version: RPCVersion = RPCVersion(major: 1, minor: 0), maxConcurrentRequests: Int = 256,
            maxConcurrentBytes: Int = 8 << 20, failures: NovaFailure = NovaFailure()
        ) {
            self.methods = methods
            self.version = version
            self.maxConcurrentRequests = maxConcurrentRequests
            self.maxConcurrentBytes = maxConcurrentBytes
            self.failures = failures
        }
    }

    /// The method every server answers with `"pong"`, as oslo.messaging's own `PingEndpoint`.
    package static let pingMethod = "oslo_rpc_server_ping"

    package enum State: Sendable, Hashable {
        case idle
        case consuming
        /// Stopped on request; what still arrives is given back.
        case draining
        /// Stopped because a request could not be stored.
        case suspended(reason: String)
    }

    private let transport: any Transport
    private let endpoint: any RPCEndpoint
    private let replies: ReplyPublisher
    private let configuration: Configuration
    private let logger: Logger
    private let limit: DispatchLimit
    private let currentState = Mutex(State.idle)

    /// - Parameter replies: publishes through the same transport; its counters are the server's.
    package init(
        transport: any Transport, endpoint: any RPCEndpoint, replies: ReplyPublisher, configuration: Configuration, logger: Logger
    ) {
        self.transport = transport
        self.endpoint = endpoint
        self.replies = replies
        self.configuration = configuration
        self.logger = logger
        limit = DispatchLimit(configuration.maxConcurrentRequests, bytes: configuration.maxConcurrentBytes)
    }

    package var counters: RPCCounters { replies.counters }
    package var state: State { currentState.withLock { $0 } }
    /// Whether requests are being taken.
    package var isReady: Bool { state == .consuming && transport.isReady }

    /// Consumes and serves until the transport is closed or the task is cancelled.
    package func run() async throws(TransportError) {
        try await resume()
        await serve(transport)
    }

    /// Begins to consume, again after ``drain()`` or a suspension.
    package func resume() async throws(TransportError) {
        currentState.withLock { $0 = .consuming }
        try await transport.startConsuming()
    }

    /// Stops consuming and waits until everything taken so far has been answered or stored.
    package func drain() async {
        currentState.withLock { $0 = .draining }
        await transport.stopConsuming()
        await limit.waitUntilIdle()
    }

    private func serve(_ transport: some Transport) async {
        await withDiscardingTaskGroup { group in
            for await message in transport.inbound {
                let place = Place(limit, bytes: message.body.count)
                await place.take()
                guard let work = await take(message, place) else {
                    place.release()
                    continue
                }
                group.addTask { await work() }
            }
        }
    }

    /// Reads a message and lets the endpoint see it; returns the rest of the work, which releases its place itself.
    private func take(_ message: InboundMessage, _ place: Place) async -> (@Sendable () async -> Void)? {
        counters.increment(\.received)
        guard state == .consuming else {
            counters.increment(\.requeued)
            await transport.requeue(message.settlement)
            return nil
        }
        let request: RPCRequest
        do {
            request = try message.request()
        } catch {
            return { await self.refuse(message, error, place) }
        }
        counters.increment(\.decoded)
        let heartbeats = request.replyAddress.flatMap { replies.startHeartbeats(for: $0) }
        let work = dispatch(request, redelivered: message.redelivered)
        return { await self.settle(message, request, await work(), heartbeats, place) }
    }

    private func dispatch(_ request: RPCRequest, redelivered: Bool) -> @Sendable () async -> RPCDisposition {
        let method = request.method
        let version = request.version ?? "1.0"
        guard request.namespace == nil, let requested = RPCVersion(version), configuration.version.serves(requested) else {
            return { .reply(.failure(.unsupportedVersion(version, method: method))) }
        }
        if method == Self.pingMethod { return { .reply(.success("pong")) } }
        guard configuration.methods.contains(method) else { return { .reply(.failure(.noSuchMethod(method))) } }
        return endpoint.receive(request, redelivered: redelivered)
    }

    private func settle(
        _ message: InboundMessage, _ request: RPCRequest, _ disposition: RPCDisposition, _ heartbeats: HeartbeatToken?,
        _ place: Place
    ) async {
        switch disposition {
        case .reply(let result):
            guard let address = request.replyAddress else {
                if case .failure(let failure) = result {
                    logger.info(
                        "cast failed", metadata: ["method": "\(Echo.cut(request.method))", "failure": "\(failure.className)"])
                }
                await transport.acknowledge(message.settlement)
                break
            }
            // Derived, not random: a request that is delivered again is answered with the same id, and its caller drops the second.
            let uniqueID = UniqueID.derived(from: "reply \(address.messageID) \(request.uniqueID ?? "")")
            _ = await replies.send(result: result, to: address, uniqueID: uniqueID) {
                await self.transport.acknowledge(message.settlement)
                // A reply whose caller is away is retried for a minute: that must not hold up other requests.
                place.release()
            }
        case .stored:
            await transport.acknowledge(message.settlement)
        case .notStored(let reason):
            await suspend(reason: reason)
            counters.increment(\.requeued)
            await transport.requeue(message.settlement)
        }
        if let heartbeats { await replies.stopHeartbeats(heartbeats) }
        place.release()
    }

    /// The answer to what is not a request at all.
    static func refusal(_ failures: NovaFailure, _ reason: String) -> RemoteFailure {
        failures.invalidInput(reason: reason).adding([
            "task_id": .null, "reason_code": "invalid_argument", "retryable": false, "in_use": "unknown", "left_behind": [],
        ])
    }

    private func suspend(reason: String) async {
        let isFirst = currentState.withLock { state in
            guard state == .consuming else { return false }
            state = .suspended(reason: reason)
            return true
        }
        guard isFirst else { return }
        logger.error("requests cannot be stored, consuming stops", metadata: ["reason": "\(reason)"])
        await transport.stopConsuming()
    }

    private func refuse(_ message: InboundMessage, _ error: EnvelopeError, _ place: Place) async {
        let count = counters.increment(\.rejected)
        // The first ones and then samples: a flood of garbage must not become a flood of lines.
        let level: Logger.Level = count <= 10 || count.isMultiple(of: 1000) ? .warning : .debug
        logger.log(
            level: level, "message rejected",
            metadata: [
                "code": "\(error.code.rawValue)", "reason": "\(error)", "routing_key": "\(message.routingKey)",
                "bytes": "\(message.body.count)", "rejected": "\(count)",
            ])
        await transport.reject(message.settlement)
        // Searched here, beside other requests, and not where they are taken in their order.
        let isUnread = [.notJSON, .refused].contains(error.code)
        if let address = error.replyAddress ?? (isUnread ? MessageEnvelope.address(inUnreadable: message.body) : nil) {
            place.release()
            let failure = Self.refusal(configuration.failures, error.message)
            let uniqueID = UniqueID.derived(from: "reply \(address.messageID)")
            _ = await replies.send(result: .failure(failure), to: address, uniqueID: uniqueID)
        }
        place.release()
    }
}

/// A place in a ``DispatchLimit`` that is given back once.
private final class Place: Sendable {
    private let bytes: Int
    private let limit: Mutex<DispatchLimit?>

    init(_ limit: DispatchLimit, bytes: Int) {
        self.bytes = bytes
        self.limit = Mutex(limit)
    }

    func take() async { await limit.withLock(\.self)?.acquire(bytes) }

    func release() {
        limit.withLock { limit in
            defer { limit = nil }
            return limit
        }?.release(bytes)
    }
}
