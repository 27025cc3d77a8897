import AMQP
import JSON
import Logging
import Synchronization

@testable import OsloMessaging

/// A server over an in-process transport, whose settlements and replies are recorded in order.
final class ServerHarness: Sendable {
    enum Event: Sendable, Hashable {
        case settled(UInt64, InProcessTransport.Settlement)
        case reply(RPCReply.Content, messageID: String)
    }

    struct Endpoint: RPCEndpoint {
        let onReceive: @Sendable (RPCRequest) -> @Sendable () async -> RPCDisposition
        func take(_ request: RPCRequest) -> @Sendable () async -> RPCDisposition { onReceive(request) }
        func carryOut(_ turn: @Sendable () async -> RPCDisposition) async -> RPCDisposition { await turn() }
    }

    let transport: InProcessTransport
    let replies: ReplyPublisher
    let server: RPCServer
    private let log: Log

    final class Log: Sendable {
        private let state = Mutex<(events: [Event], replyIDs: [String])>(([], []))

        var events: [Event] { state.withLock { $0.events } }
        var replyIDs: [String] { state.withLock { $0.replyIDs } }
        func add(_ event: Event) { state.withLock { $0.events.append(event) } }
        func add(_ reply: RPCReply) {
            state.withLock { state in
                state.events.append(.reply(reply.content, messageID: reply.messageID))
                state.replyIDs.append(reply.uniqueID)
            }
        }
    }

    /// - Parameter outcome: what the broker says to the n-th publish, from 0.
    init(
        methods: Set<String> = ["work"], storedMethods: Set<String> = [], slowMethods: Set<String> = [], limit: Int = 16,
        answerPatience: Duration = .seconds(60), replyPatience: Duration = .seconds(60), keepsMessages: Bool = true,
        replyConfiguration: ReplyPublisher.Configuration = .init(
            retryTimeout: .milliseconds(200), retryInterval: .milliseconds(10)),
        outcome: @escaping @Sendable (Int) throws(TransportError) -> PublishOutcome = { _ in .confirmed },
        onReceive: @escaping @Sendable (RPCRequest) -> @Sendable () async -> RPCDisposition
    ) {
        let log = Log()
        let publishes = PublishCount()
        transport = InProcessTransport(
            keepsMessages: keepsMessages,
            onPublish: { (published) async throws(TransportError) -> PublishOutcome in
                let outcome = try outcome(publishes.next())
                if outcome == .confirmed, let reply = try? RPCReply(decoding: published.body) { log.add(reply) }
                return outcome
            },
            onSettle: { token, settlement in log.add(.settled(token.value, settlement)) })
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        replies = ReplyPublisher(publisher: transport, configuration: replyConfiguration, logger: logger)
        server = RPCServer(
            transport: transport, endpoint: Endpoint(onReceive: onReceive), replies: replies,
            configuration: .init(
                methods: methods, storedMethods: storedMethods, slowMethods: slowMethods, maxConcurrentRequests: limit,
                maxConcurrentAnswers: limit, answerPatience: answerPatience,
                replyPatience: replyPatience),
            logger: logger)
        self.log = log
    }

    private final class PublishCount: Sendable {
        private let count = Mutex(0)
        func next() -> Int {
            count.withLock { count in
                defer { count += 1 }
                return count
            }
        }
    }

    var events: [Event] { log.events }
    /// The `_unique_id` of each reply.
    var replyIDs: [String] { log.replyIDs }

    /// Runs the server while `body` does, then closes the transport.
    func run(_ body: () async throws -> Void) async throws {
        try await withThrowingTaskGroup { group in
            group.addTask { try await self.server.run() }
            group.addTask { await self.replies.run() }
            try await body()
            await transport.close()
            try await group.next()
            group.cancelAll()
        }
    }

    /// Waits until this many events have happened, for a minute at most.
    func events(count: Int) async -> [Event] {
        let deadline = ContinuousClock.now + .seconds(60)
        while events.count < count, .now < deadline {
            guard (try? await Task.sleep(for: .milliseconds(2))) != nil else { break }
        }
        return events
    }

    static func body(
        _ method: String = "work", id: String? = nil, timeout: Double? = nil, version: String? = "1.0", namespace: String? = nil
    ) -> [UInt8] {
        var inner: JSONObject = ["method": .string(method), "args": [:]]
        if let version { inner["version"] = .string(version) }
        if let namespace { inner["namespace"] = .string(namespace) }
        if let id {
            inner["_msg_id"] = .string(id)
            inner["_reply_q"] = "q"
        }
        if let timeout { inner["_timeout"] = .real(timeout) }
        return MessageEnvelope.wrap(inner)
    }
}

/// Waits for a condition, for as long as a busy machine may take.
func eventually(_ condition: () -> Bool) async -> Bool {
    for _ in 0..<20_000 where !condition() { try? await Task.sleep(for: .milliseconds(1)) }
    return condition()
}
