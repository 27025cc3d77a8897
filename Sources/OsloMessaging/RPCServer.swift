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
        /// Those of them whose requests are stored, and so wait for the disk: they are taken on in order of arrival, and all others
        /// overtake them.
        package var storedMethods: Set<String>
        /// The interface version served.
        package var version: RPCVersion
        /// Requests being stored at once; further ones wait unread, and in the broker.
        package var maxConcurrentRequests: Int
        /// Requests answered at once that are not stored.
        package var maxConcurrentAnswers: Int
        /// Bytes of the bodies of each kind, likewise: a body takes up to 90 times its size once it is read. One is always taken.
        package var maxConcurrentBytes: Int
        /// Makes the answer to messages that are no valid request.
        package var failures: NovaFailure

        package init(
            methods: Set<String>, storedMethods: Set<String> = [], version: RPCVersion = RPCVersion(major: 1, minor: 0),
            maxConcurrentRequests: Int = 1024, maxConcurrentAnswers: Int = 64,
            maxConcurrentBytes: Int = 8 << 20,
            failures: NovaFailure = NovaFailure()
        ) {
            self.methods = methods
            self.storedMethods = storedMethods
            self.version = version
            self.maxConcurrentRequests = maxConcurrentRequests
            self.maxConcurrentAnswers = maxConcurrentAnswers
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
        /// A request could not be stored: those that have to be wait. The others are answered.
        case suspended(reason: String)
    }

    private let transport: any Transport
    /// Lets the endpoint take a request; what is returned carries it out.
    private let begin: @Sendable (RPCRequest) -> @Sendable () async -> RPCDisposition
    private let replies: ReplyPublisher
    private let configuration: Configuration
    private let logger: Logger
    private let backlog = Backlog()
    /// Of requests that are stored.
    private let storing: DispatchLimit
    /// Of all others.
    private let answering: DispatchLimit
    private let currentState = Mutex(State.idle)

    /// - Parameter replies: publishes through the same transport; its counters are the server's.
    package init(
        transport: any Transport, endpoint: some RPCEndpoint, replies: ReplyPublisher, configuration: Configuration,
        logger: Logger
    ) {
        self.transport = transport
        begin = { request in
            let turn = endpoint.take(request)
            return { await endpoint.carryOut(turn) }
        }
        self.replies = replies
        self.configuration = configuration
        self.logger = logger
        storing = DispatchLimit(configuration.maxConcurrentRequests, bytes: configuration.maxConcurrentBytes)
        answering = DispatchLimit(configuration.maxConcurrentAnswers, bytes: configuration.maxConcurrentBytes)
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

    /// Begins to consume, again after a suspension.
    package func resume() async throws(TransportError) {
        currentState.withLock { $0 = .consuming }
        backlog.resume()
        try await transport.startConsuming()
    }

    /// Stops consuming and waits until everything taken on so far has been answered or stored; gives the rest back.
    package func drain() async {
        currentState.withLock { $0 = .draining }
        backlog.close()
        await transport.stopConsuming()
        await giveBacklogBack()
        await storing.waitUntilIdle()
        await answering.waitUntilIdle()
    }

    /// While suspended: stops consuming, and gives back what waits to be stored. A broker takes a message away that is held for too long.
    package func release() async {
        guard case .suspended = state else { return }
        await transport.stopConsuming()
        await giveBacklogBack()
    }

    private func giveBacklogBack() async {
        for entry in backlog.takeAll() { await giveBack(entry) }
    }

    private func putBack(_ entry: Backlog.Entry) async {
        if !backlog.putBack(entry) { await giveBack(entry) }
    }

    private func giveBack(_ entry: Backlog.Entry) async {
        if let heartbeats = entry.heartbeats { await replies.stopHeartbeats(heartbeats) }
        await requeue(entry.message)
    }

    private func requeue(_ message: InboundMessage) async {
        counters.increment(\.requeued)
        await transport.requeue(message.settlement)
    }

    private func serve(_ transport: some Transport) async {
        await withDiscardingTaskGroup { group in
            group.addTask { await self.store() }
            for await message in transport.inbound {
                if let work = await take(message) { group.addTask { await work() } }
            }
            backlog.close()
            await giveBacklogBack()
        }
    }

    /// Reads a message. Returns the rest of the work, unless the request has to wait to be stored.
    private func take(_ message: InboundMessage) async -> (@Sendable () async -> Void)? {
        counters.increment(\.received)
        guard state != .draining else {
            await requeue(message)
            return nil
        }
        let request: RPCRequest
        do {
            request = try message.request()
        } catch {
            let place = await Place(answering, bytes: message.body.count)
            return { await self.refuse(message, error, place) }
        }
        counters.increment(\.decoded)
        let heartbeats = request.replyAddress.flatMap { replies.startHeartbeats(for: $0) }
        let entry = Backlog.Entry(message: message, request: request, heartbeats: heartbeats)
        if configuration.storedMethods.contains(request.method), refusal(of: request) == nil {
            // With nothing before it, it keeps its order among all requests.
            if backlog.isIdle, let place = Place(ifFree: storing, bytes: message.body.count) {
                return receive(entry, request, place)
            }
            if !backlog.append(entry) { await giveBack(entry) }
            return nil
        }
        return answer(entry, request, await Place(answering, bytes: message.body.count))
    }

    /// Lets the endpoint see a request; returns the rest of the work.
    private func receive(_ entry: Backlog.Entry, _ request: RPCRequest, _ place: Place) -> @Sendable () async -> Void {
        let work = begin(request)
        return { await self.settle(entry, request, await work(), place) }
    }

    private func answer(_ entry: Backlog.Entry, _ request: RPCRequest, _ place: Place) -> @Sendable () async -> Void {
        if let refusal = refusal(of: request) { return { await self.answer(entry, request, .failure(refusal), place) } }
        if request.method == Self.pingMethod { return { await self.answer(entry, request, .success("pong"), place) } }
        return receive(entry, request, place)
    }

    /// Why a request is none of this server's, as oslo.messaging's dispatcher says it.
    private func refusal(of request: RPCRequest) -> RemoteFailure? {
        let version = request.version ?? "1.0"
        guard request.namespace == nil, let requested = RPCVersion(version), configuration.version.serves(requested) else {
            return .unsupportedVersion(version, method: request.method)
        }
        let isKnown = request.method == Self.pingMethod || configuration.methods.contains(request.method)
        return isKnown ? nil : .noSuchMethod(request.method)
    }

    /// Works on the backlog until that is closed.
    private func store() async {
        await withDiscardingTaskGroup { group in
            while let entry = await backlog.next() {
                let place = await Place(storing, bytes: entry.message.body.count)
                guard backlog.isOpen else {
                    await putBack(entry)
                    place.release()
                    continue
                }
                // The broker delivers again what it does not wait for any more.
                guard transport.awaitsSettlement(entry.message.settlement),
                    let request = entry.request ?? (try? entry.message.request())
                else {
                    if let heartbeats = entry.heartbeats { await replies.stopHeartbeats(heartbeats) }
                    place.release()
                    continue
                }
                let work = receive(entry, request, place)
                group.addTask { await work() }
            }
        }
    }

    private func settle(_ entry: Backlog.Entry, _ request: RPCRequest, _ disposition: RPCDisposition, _ place: Place) async {
        switch disposition {
        case .reply(let result): return await answer(entry, request, result, place)
        case .stored:
            await transport.acknowledge(entry.message.settlement)
            // Its final reply ends the heartbeats.
            place.release()
            return
        case .known: await transport.acknowledge(entry.message.settlement)
        case .notStored(let reason):
            suspend(reason: reason)
            place.release()
            if configuration.storedMethods.contains(request.method) { await putBack(entry) } else { await giveBack(entry) }
            return
        }
        if let heartbeats = entry.heartbeats { await replies.stopHeartbeats(heartbeats) }
        place.release()
    }

    private func answer(
        _ entry: Backlog.Entry, _ request: RPCRequest, _ result: Result<JSONValue, RemoteFailure>, _ place: Place
    ) async {
        if let address = request.replyAddress {
            // Derived, not random: a request that is delivered again is answered with the same id, and its caller drops the second.
            let uniqueID = UniqueID.derived(from: "reply \(address.messageID) \(request.uniqueID ?? "")")
            _ = await replies.send(result: result, to: address, uniqueID: uniqueID) {
                await self.transport.acknowledge(entry.message.settlement)
                // A reply whose caller is away is retried for a minute: that must not hold up other requests.
                place.release()
            }
        } else {
            if case .failure(let failure) = result {
                logger.info(
                    "cast failed", metadata: ["method": "\(Echo.cut(request.method))", "failure": "\(failure.className)"])
            }
            await transport.acknowledge(entry.message.settlement)
        }
        if let heartbeats = entry.heartbeats { await replies.stopHeartbeats(heartbeats) }
        place.release()
    }

    /// The answer to what is not a request at all.
    static func refusal(_ failures: NovaFailure, _ reason: String) -> RemoteFailure {
        failures.invalidInput(reason: reason).adding([
            "task_id": .null, "reason_code": "invalid_argument", "retryable": false, "in_use": "unknown", "left_behind": [],
        ])
    }

    private func suspend(reason: String) {
        let isFirst = currentState.withLock { state in
            guard state == .consuming else { return false }
            state = .suspended(reason: reason)
            return true
        }
        guard isFirst else { return }
        backlog.pause()
        logger.error("requests cannot be stored: they wait", metadata: ["reason": "\(reason)"])
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
