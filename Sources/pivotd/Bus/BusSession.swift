import AMQP
import Daemon
import JSON
import Logging
import Observability
import OsloMessaging
import Settings
import VolumeSwap

/// A connection to the bus for the length of a command, and the worker that it speaks to.
struct BusSession: Sendable {
    private let client: RPCClient
    private let observer: RequestObserver
    let target: RPCClient.Target

    /// How long the broker may take to be there.
    private static let connectTimeout = Duration.seconds(10)

    /// Connects, does the work, and disconnects whatever came of it.
    ///
    /// - Parameter timeout: for the connection, when it is shorter than pivotd's own patience.
    static func with<Value: Sendable>(
        _ configuration: PivotdConfiguration, timeout: Duration? = nil,
        _ work: @escaping @Sendable (BusSession) async throws -> Value
    ) async throws -> Value {
        let broker = try Broker(configuration.bus)
        let logger = Self.logger(configuration)
        let replyQueue = RPCClient.makeReplyQueueName()
        let transport = AMQPTransport(
            configuration: broker.amqp, consuming: broker.topology.replies(queue: replyQueue),
            publishing: broker.topology.requests, logger: logger)
        let observer = RequestObserver(transport)
        let session = BusSession(
            client: RPCClient(
                transport: observer, exchange: configuration.bus.exchange, replyQueue: replyQueue, logger: logger),
            observer: observer, target: RPCClient.Target(topic: configuration.bus.topic, host: configuration.bus.host))
        return try await withThrowingTaskGroup(of: Value?.self) { group in
            defer { group.cancelAll() }
            group.addTask {
                try await session.client.run()
                return nil
            }
            group.addTask {
                let watch = BrokerWatch(transport)
                let limit = min(timeout ?? connectTimeout, connectTimeout)
                try await watch.waitUntilConnected(endpoints: broker.amqp.endpoints.count, within: limit)
                return try await work(session)
            }
            guard let value = try await group.next() ?? nil else { throw RPCClientError.closed }
            return value
        }
    }

    /// The task that the swap of this session has become, once the broker has taken the request.
    var taskID: TaskID? { observer.taskID }

    /// - Parameters:
    ///   - timeout: nil to wait for as long as heartbeats come.
    ///   - callMonitorTimeout: how long the worker may be silent.
    func call(
        _ method: String, _ args: JSONObject, timeout: Duration?, callMonitorTimeout: Duration? = nil
    ) async throws -> JSONValue {
        let forever = Duration.seconds(10 * 365 * 86_400)
        return try await client.call(
            method, args: args, target: target, timeout: timeout ?? forever, callMonitorTimeout: callMonitorTimeout)
    }

    /// - Parameter timeout: after which the message expires in its queue; nil for never.
    func cast(_ method: String, _ args: JSONObject, timeout: Duration?) async throws {
        try await client.cast(method, args: args, target: target, timeout: timeout)
    }

    /// A command says itself what went wrong; the modules' own lines are for `--log-level debug`.
    private static func logger(_ configuration: PivotdConfiguration) -> Logger {
        guard configuration.daemon.logLevel <= .debug else {
            return Logger(label: "pivotd") { _ in SwiftLogNoOpLogHandler() }
        }
        LoggingSetup.bootstrap(format: configuration.daemon.logFormat, level: configuration.daemon.logLevel)
        return Logger(label: "pivotd")
    }
}

/// Where the broker is and how the bus is laid out on it.
private struct Broker {
    let amqp: AMQPConfiguration
    let topology: OsloTopology

    /// - Throws: A usage error.
    init(_ bus: PivotdConfiguration.Bus) throws {
        do {
            amqp = try bus.amqpConfiguration(name: "pivotd command line")
            topology = try bus.topology()
        } catch {
            throw ConfigurationOptions.usageError(error)
        }
    }
}
