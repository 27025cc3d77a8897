package import Logging
import Synchronization

/// Serves RPC requests that a transport delivers.
///
/// Behaves like oslo.messaging's `RPCDispatcher` towards clients, but acknowledges only once a request is answered or journaled.
/// Runs inside ``run()``; the transport and the ``ReplyPublisher`` are run by their owner and must outlive it.
package final class RPCServer: Sendable {
    /// What the server answers, and its limits.
    package struct Configuration: Sendable {
        /// The endpoint's methods.
        package var methods: Set<String>
        /// Those whose requests are stored, and so wait for the disk: they are handled in order of arrival, and overtaken by all
        /// others.
        package var storedMethods: Set<String>
        /// Those that ask others, who may not answer for long: they hold up only each other.
        package var slowMethods: Set<String>
        /// Maximum requests being stored at once; further ones wait undecoded, and in the broker.
        package var maxConcurrentRequests: Int
        /// Maximum requests being answered at once without being stored, and again of the slow ones; further ones wait likewise.
        package var maxConcurrentAnswers: Int
        /// How long a request that is not stored may take before its message is acknowledged.
        package var answerPatience: Duration
        /// How long the broker may not take a reply before the request's message is acknowledged without it.
        package var replyPatience: Duration
        /// Creates the reply to messages that are not a valid request.
        package var failures: NovaFailure

        package init(
            methods: Set<String>, storedMethods: Set<String> = [], slowMethods: Set<String> = [],
            maxConcurrentRequests: Int = 1024, maxConcurrentAnswers: Int = 64, answerPatience: Duration = .seconds(5),
            replyPatience: Duration = .seconds(60), failures: NovaFailure = NovaFailure()
        ) {
            self.methods = methods
            self.storedMethods = storedMethods
            self.slowMethods = slowMethods
            self.maxConcurrentRequests = maxConcurrentRequests
            self.maxConcurrentAnswers = maxConcurrentAnswers
            self.answerPatience = answerPatience
            self.replyPatience = replyPatience
            self.failures = failures
        }
    }

    /// The interface version served.
    static let version = RPCVersion(major: 1, minor: 0)
    /// Maximum bytes of bodies being worked on at once in each lane: a decoded body takes up to 90 times its size. One body is always
    /// allowed.
    private static let maxConcurrentBytes = 8 << 20

    /// The method that every server answers with `"pong"`, as oslo.messaging's own `PingEndpoint` does.
    package static let pingMethod = "oslo_rpc_server_ping"

    /// What the server is doing.
    package enum State: Sendable, Hashable {
        /// Not started.
        case idle
        /// Accepting requests.
        case consuming
        /// Stopping; whatever still arrives is requeued.
        case draining
        /// A request could not be stored. Requests that must be stored wait; the others are answered.
        case suspended(reason: String)
    }

    /// Messages that arrived.
    package let received = EventCounter("pivotd_messages_total", kind: "received")
    /// Messages that were valid requests.
    package let decoded = EventCounter("pivotd_messages_total", kind: "decoded")
    /// Messages rejected because they were not valid requests.
    package let rejected = EventCounter("pivotd_messages_total", kind: "rejected")
    /// Messages requeued while not consuming or not storing.
    package let requeued = EventCounter("pivotd_messages_total", kind: "requeued")

    let transport: any Transport
    /// Has the endpoint take a request; the returned closure carries it out.
    let receive: @Sendable (RPCRequest) -> @Sendable () async -> RPCDisposition
    let replies: ReplyPublisher
    let configuration: Configuration
    let logger: Logger
    /// Requests to be stored.
    let storing: Lane
    /// ``Configuration/slowMethods``
    let asking: Lane
    /// All others.
    let answering: Lane
    let currentState = Mutex(State.idle)
    /// After a suspension, requests are tried one at a time until one is stored.
    let isTrying = Mutex(false)
    let stored = Atomic(0)
    /// Replies that have waited for the broker for ``Configuration/answerPatience``.
    let overdueReplies = DispatchLimit(1024)

    /// - Parameter replies: Publishes through the same transport.
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
        storing = Lane(limit: DispatchLimit(configuration.maxConcurrentRequests, bytes: Self.maxConcurrentBytes))
        asking = Lane(limit: DispatchLimit(configuration.maxConcurrentAnswers, bytes: Self.maxConcurrentBytes))
        answering = Lane(limit: DispatchLimit(configuration.maxConcurrentAnswers, bytes: Self.maxConcurrentBytes))
    }

    var lanes: [Lane] { [storing, asking, answering] }

    /// Requests stored since the start.
    package var storedCount: Int { stored.load(ordering: .relaxed) }
    /// What it is doing now.
    package var state: State { currentState.withLock { $0 } }
    /// Whether requests are being accepted.
    package var isReady: Bool { state == .consuming && transport.isReady }

    /// Consumes and serves until the transport is closed or the task is cancelled.
    ///
    /// - Throws: ``TransportError`` `closed` if the transport is already closed.
    package func run() async throws(TransportError) {
        try await resume()
        await serve(transport)
    }

    /// Starts consuming, or resumes after a suspension.
    ///
    /// - Throws: ``TransportError`` `closed` if the transport is closed.
    package func resume() async throws(TransportError) {
        // Everything that could not be stored must be back in its place before anything else starts.
        if case .suspended = state { await storing.limit.waitUntilIdle() }
        let isServing = currentState.withLock { state in
            if state == .draining { return false }
            if case .suspended = state { isTrying.withLock { $0 = true } }
            state = .consuming
            storing.backlog.resume()
            return true
        }
        if isServing { try await transport.startConsuming() }
    }

    /// Bytes of the next request to be stored, once it is decompressed; 0 if none waits.
    package var waitingBytes: Int { storing.backlog.nextBytes }

    /// Stops consuming, waits until everything started has been answered or stored, and requeues the rest.
    package func drain() async {
        currentState.withLock { $0 = .draining }
        await transport.stopConsuming()
        await close()
        for lane in lanes { await lane.limit.waitUntilIdle() }
    }

    /// While suspended, requeues what waits to be stored, before the broker's consumer timeout does, and stops consuming. Where
    /// messages are lost without a consumer it goes on: they come back at once.
    ///
    /// - Returns: Whether they stay with the broker until ``resume()``; otherwise they are held anew.
    @discardableResult
    package func release() async -> Bool {
        guard case .suspended = state else { return true }
        if transport.keepsMessages { await transport.stopConsuming() }
        for entry in storing.backlog.takeAll() { await giveBack(entry) }
        return transport.keepsMessages
    }

    /// Accepts no more requests and requeues those waiting.
    func close() async {
        for lane in lanes {
            lane.backlog.close()
            for entry in lane.backlog.takeAll() { await giveBack(entry) }
        }
    }

    func giveBack(_ entry: Backlog.Entry) async {
        await endHeartbeats(entry.heartbeats)
        await requeue(entry.message)
    }

    func endHeartbeats(_ heartbeats: HeartbeatToken?) async {
        if let heartbeats { await replies.stopHeartbeats(heartbeats) }
    }

    /// The broker redelivers what an earlier connection or channel left unsettled.
    func forgetDeliveries(before epoch: UInt64) async {
        for entry in lanes.flatMap({ $0.backlog.takeAll(except: epoch) }) { await endHeartbeats(entry.heartbeats) }
    }

    func requeue(_ message: InboundMessage) async {
        requeued.increment()
        await transport.requeue(message.tag)
    }
}
