import AMQP
import Daemon
import JSON
import Logging
import Observability
import OsloMessaging
import Settings
import VolumeSwap

/// A command's connection to the bus, and the worker it talks to.
struct BusSession: Sendable {
    private let client: RPCClient
    private let observer: RequestObserver
    let target: RPCClient.Target

    /// How long connecting to the broker may take.
    private static let connectTimeout = Duration.seconds(10)

    /// Connects, does the work, and disconnects whatever the outcome.
    ///
    /// - Parameter timeout: For the connection, if shorter than pivotd's own limit.
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

    /// The task of this session's swap, once the broker has accepted the request.
    var taskID: TaskID? { observer.taskID }

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

    /// A command reports errors itself; the modules' own log lines are for `--log-level debug`.
    private static func logger(_ configuration: PivotdConfiguration) -> Logger {
        guard configuration.daemon.logLevel <= .debug else {
            return Logger(label: "pivotd") { _ in SwiftLogNoOpLogHandler() }
        }
        LoggingSetup.bootstrap(format: configuration.daemon.logFormat, level: configuration.daemon.logLevel)
        return Logger(label: "pivotd")
    }
}

/// The broker's address and the topology of the bus on it.
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
