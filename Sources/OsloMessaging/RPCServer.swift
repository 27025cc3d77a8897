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

    /// Messages that arrived.
    package let received = EventCounter("pivotd_messages", kind: "received")
    /// Messages that were a request.
    package let decoded = EventCounter("pivotd_messages", kind: "decoded")
    /// Messages rejected because they were none.
    package let rejected = EventCounter("pivotd_messages", kind: "rejected")
    /// Messages given back to their queue while not consuming or not storing.
    package let requeued = EventCounter("pivotd_messages", kind: "requeued")

    let transport: any Transport
    /// Lets the endpoint take a request; what is returned carries it out.
    let receive: @Sendable (RPCRequest) -> @Sendable () async -> RPCDisposition
    let replies: ReplyPublisher
    let configuration: Configuration
    let logger: Logger
    /// Requests that are to be stored.
    let backlog = Backlog()
    let storing: DispatchLimit
    /// All others; they wait when very many are being answered.
    let questions = Backlog()
    let answering: DispatchLimit
    let currentState = Mutex(State.idle)
    /// After a suspension: one request at a time, until one is stored.
    let isTrying = Mutex(false)
    let stored = Atomic(0)

    /// - Parameter replies: publishes through the same transport.
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

    /// Requests stored since the start.
    package var storedCount: Int { stored.load(ordering: .relaxed) }
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
    func close() async {
        for backlog in [backlog, questions] {
            backlog.close()
            for entry in backlog.takeAll() { await giveBack(entry) }
        }
    }

    func giveBack(_ entry: Backlog.Entry) async {
        await endHeartbeats(entry)
        await requeue(entry.message)
    }

    func endHeartbeats(_ entry: Backlog.Entry) async {
        if let heartbeats = entry.heartbeats { await replies.stopHeartbeats(heartbeats) }
    }

    /// The broker delivers again what an earlier connection, or channel, has left.
    func forgetDeliveries(before epoch: UInt64) async {
        for entry in backlog.takeAll(except: epoch) + questions.takeAll(except: epoch) { await endHeartbeats(entry) }
    }

    func requeue(_ message: InboundMessage) async {
        requeued.increment()
        await transport.requeue(message.settlement)
    }
}
