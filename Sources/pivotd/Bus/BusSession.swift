import AMQP
import Basics
import Daemon
import JSON
import Logging
import Observability
import OsloMessaging
import Settings

/// A command's connection to the bus, and the worker it talks to.
struct BusSession: Sendable {
    private let client: RPCClient
    private let observer: RequestObserver<AMQPTransport>
    let target: RPCClient.Target

    /// Connects, does the work, and disconnects whatever the outcome.
    ///
    /// - Parameters:
    ///   - timeout: For the connection, if shorter than pivotd's own limit.
    ///   - interruption: Ends it all, also while it connects.
    static func with<Value: Sendable>(
        _ configuration: PivotdConfiguration, timeout: Duration? = nil, until interruption: Interruption? = nil,
        _ work: @escaping @Sendable (BusSession) async throws -> Value
    ) async throws -> Value {
        let (amqp, topology) = try ConfigurationOptions.checking {
            (try configuration.bus.amqpConfiguration(name: "pivotd command line"), try configuration.bus.topology())
        }
        let logger = configuration.commandLogger()
        let replyQueue = RPCClient.makeReplyQueueName()
        let transport = AMQPTransport(
            configuration: amqp, consuming: topology.replies(queue: replyQueue), publishing: topology.requests, logger: logger)
        let observer = RequestObserver(transport)
        let session = BusSession(
            client: RPCClient(
                transport: observer, exchange: configuration.bus.exchange, replyQueue: replyQueue, logger: logger),
            observer: observer, target: RPCClient.Target(topic: configuration.bus.topic, host: configuration.bus.host))
        let client: @Sendable () async throws -> Void = {
            try await session.client.run()
            throw RPCClientError.closed
        }
        var others = [client]
        if let interruption { others.append { try await interruption.wait(session) } }
        return try await alongside(others) {
            try await BrokerWatch(transport).waitUntilConnected(to: amqp.endpoints, within: timeout)
            return try await work(session)
        }
    }

    /// The same connection, to talk to the worker of another host.
    func at(_ host: String) -> BusSession {
        BusSession(client: client, observer: observer, target: RPCClient.Target(topic: target.topic, host: host))
    }

    /// This session's swap, from when its request is sent.
    var sent: SentSwap? { observer.sent }

    /// - Parameters:
    ///   - timeout: nil to wait for as long as heartbeats arrive.
    ///   - callMonitorTimeout: How long the worker may be silent.
    func call(
        _ method: String, _ args: JSONObject, timeout: Duration?, callMonitorTimeout: Duration? = nil
    ) async throws -> JSONValue {
        let forever = Duration.seconds(10 * 365 * 86_400)
        return try await client.call(
            method, args: args, target: target, timeout: timeout ?? forever, callMonitorTimeout: callMonitorTimeout)
    }

    /// - Parameter timeout: Time after which the message expires in its queue; nil for never.
    func cast(_ method: String, _ args: JSONObject, timeout: Duration?) async throws {
        try await client.cast(method, args: args, target: target, timeout: timeout)
    }
}

extension PivotdConfiguration {
    /// A command reports errors itself; the modules' own log lines are for `--log-level debug`.
    func commandLogger() -> Logger {
        guard daemon.logLevel <= .debug else { return Logger(label: "pivotd") { _ in SwiftLogNoOpLogHandler() } }
        LoggingSetup.bootstrap(format: daemon.logFormat, level: daemon.logLevel)
        return Logger(label: "pivotd")
    }
}
