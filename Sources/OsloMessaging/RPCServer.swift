import JSON
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
        /// Requests being answered at once that are not stored; further ones wait likewise.
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
    private let receive: @Sendable (RPCRequest) -> @Sendable () async -> RPCDisposition
    private let replies: ReplyPublisher
    private let configuration: Configuration
    private let logger: Logger
    /// Requests that are to be stored.
    private let backlog = Backlog()
    private let storing: DispatchLimit
    /// All others; they wait when very many are being answered.
    private let questions = Backlog()
    private let answering: DispatchLimit
    private let currentState = Mutex(State.idle)
    /// After a suspension: one request at a time, until one is stored.
    private let isTrying = Mutex(false)

    /// - Parameter replies: publishes through the same transport; its counters are the server's.
    package init(
        transport: any Transport, endpoint: some RPCEndpoint, replies: ReplyPublisher, configuration: Configuration,
        logger: Logger
    ) {
        self.transport = transport
        receive = { request in
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
        // All that could not be stored is back in its place before anything is taken on.
        if case .suspended = state { await storing.waitUntilIdle() }
        let isServing = currentState.withLock { state in
            if state == .draining { return false }
            if case .suspended = state { isTrying.withLock { $0 = true } }
            state = .consuming
            backlog.resume()
            return true
        }
        if isServing { try await transport.startConsuming() }
    }

    /// Bytes of the request that is to be stored next; 0 when none waits.
    package var waitingBytes: Int { backlog.nextBytes }

    /// Stops consuming and waits until everything taken on so far has been answered or stored; gives the rest back.
    package func drain() async {
        currentState.withLock { $0 = .draining }
        await transport.stopConsuming()
        await close()
        await storing.waitUntilIdle()
        await answering.waitUntilIdle()
    }

    /// While suspended: stops consuming, and gives back what waits to be stored. A broker takes a message away that is held for too long.
    package func release() async {
        guard case .suspended = state else { return }
        await transport.stopConsuming()
        for entry in backlog.takeAll() { await giveBack(entry) }
    }

    /// Takes no more on, and gives back what waits.
    private func close() async {
        for backlog in [backlog, questions] {
            backlog.close()
            for entry in backlog.takeAll() { await giveBack(entry) }
        }
    }

    private func giveBack(_ entry: Backlog.Entry) async {
        await endHeartbeats(entry)
        await requeue(entry.message)
    }

    private func endHeartbeats(_ entry: Backlog.Entry) async {
        if let heartbeats = entry.heartbeats { await replies.stopHeartbeats(heartbeats) }
    }

    /// The broker delivers again what an earlier connection, or channel, has left.
    private func forgetDeliveries(before epoch: UInt64) async {
        for entry in backlog.takeAll(except: epoch) + questions.takeAll(except: epoch) { await endHeartbeats(entry) }
    }

    private func requeue(_ message: InboundMessage) async {
        counters.increment(\.requeued)
        await transport.requeue(message.settlement)
    }

    private func serve(_ transport: some Transport) async {
        await withDiscardingTaskGroup { group in
            group.addTask { await self.work(on: self.backlog, self.storing) }
            group.addTask { await self.work(on: self.questions, self.answering) }
            var epoch: UInt64 = 0
            for await message in transport.inbound {
                if message.settlement.epoch != epoch { await forgetDeliveries(before: message.settlement.epoch) }
                epoch = message.settlement.epoch
                if let work = await take(message) { group.addTask { await work() } }
            }
            await close()
        }
    }

    /// Reads a message. Returns the rest of the work, unless the request has to wait.
    private func take(_ message: InboundMessage) async -> (@Sendable () async -> Void)? {
        counters.increment(\.received)
        guard state != .draining else {
            await requeue(message)
            return nil
        }
        let request = try? message.request()
        if request != nil { counters.increment(\.decoded) }
        let heartbeats = request?.replyAddress.flatMap { replies.startHeartbeats(for: $0) }
        let entry = Backlog.Entry(message: message, request: request, heartbeats: heartbeats)
        let isStored = request.map { configuration.storedMethods.contains($0.method) && refusal(of: $0) == nil } ?? false
        let (backlog, limit) = isStored ? (backlog, storing) : (questions, answering)
        // With nothing before it, it keeps its order among all requests.
        if let place = Place(ifFree: limit, bytes: message.body.count) {
            if let entry = backlog.pass(entry) { return begin(entry, place) }
            place.release()
        }
        if !backlog.append(entry) { await giveBack(entry) }
        return nil
    }

    /// Works on a backlog until that is closed.
    private func work(on backlog: Backlog, _ limit: DispatchLimit) async {
        await withDiscardingTaskGroup { group in
            while let entry = await backlog.next() {
                let place = await Place(limit, bytes: entry.message.body.count)
                guard backlog.isOpen else {
                    if !backlog.putBack(entry) { await giveBack(entry) }
                    place.release()
                    continue
                }
                // The broker delivers again what it does not wait for any more.
                guard transport.awaitsSettlement(entry.message.settlement) else {
                    await endHeartbeats(entry)
                    place.release()
                    continue
                }
                let work = begin(entry, place)
                let isAlone = backlog === self.backlog && isTrying.withLock(\.self)
                if isAlone { await work() } else { group.addTask { await work() } }
            }
        }
    }

    /// Lets the endpoint see a request; returns the rest of the work.
    private func begin(_ entry: Backlog.Entry, _ place: Place) -> @Sendable () async -> Void {
        let request: RPCRequest
        do throws(EnvelopeError) {
            request = if let read = entry.request { read } else { try entry.message.request() }
        } catch {
            return { await self.refuse(entry.message, error, place) }
        }
        if let refusal = refusal(of: request) { return { await self.answer(entry, request, .failure(refusal), place) } }
        if request.method == Self.pingMethod { return { await self.answer(entry, request, .success("pong"), place) } }
        let work = receive(request)
        return { await self.settle(entry, request, await work(), place) }
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

    private func settle(_ entry: Backlog.Entry, _ request: RPCRequest, _ disposition: RPCDisposition, _ place: Place) async {
        switch disposition {
        case .reply(let result): return await answer(entry, request, result, place)
        case .stored:
            counters.increment(\.stored)
            isTrying.withLock { $0 = false }
            await transport.acknowledge(entry.message.settlement)
            // Its final reply ends the heartbeats.
            return place.release()
        case .known: await transport.acknowledge(entry.message.settlement)
        case .notStored(let reason):
            suspend(reason: reason)
            let waits = configuration.storedMethods.contains(request.method) && backlog.putBack(entry)
            if !waits { await giveBack(entry) }
            return place.release()
        }
        await endHeartbeats(entry)
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
        await endHeartbeats(entry)
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
            backlog.pause()
            return true
        }
        guard isFirst else { return }
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
