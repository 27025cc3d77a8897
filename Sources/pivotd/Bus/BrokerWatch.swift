import AMQP
import Basics
import OsloMessaging

/// Waits for the first connection to the broker, and gives up early if none can be expected.
struct BrokerWatch: Sendable {
    let connections: [AMQPConnection]
    /// Connections whose events are consumed here; nobody else can read them.
    let watched: [AMQPConnection]
    /// - Parameter watchesConsumer: Pass false to leave the consuming connection's events to somebody else.
    init(_ transport: AMQPTransport, watchesConsumer: Bool = true) {
        connections = [transport.consumer, transport.publisher]
        watched = watchesConsumer ? connections : [transport.publisher]
    }

    /// How often every address may fail before the broker counts as unreachable.
    private static let rounds = 2

    /// How long connecting may take.
    private static let limit = Duration.seconds(10)

    /// - Parameters:
    ///   - endpoints: the broker's addresses.
    ///   - timeout: for the connection, if shorter than pivotd's own limit.
    /// - Throws: ``CommandFailure`` with status `noAnswer`.
    func waitUntilConnected(to endpoints: [AMQPEndpoint], within timeout: Duration? = nil) async throws {
        let limit = min(timeout ?? Self.limit, Self.limit)
        try await withThrowingTaskGroup { group in
            group.addTask {
                for connection in connections { try await connection.waitUntilConnected() }
            }
            for connection in watched {
                group.addTask {
                    var (failures, refusals) = (0, 0)
                    var errors: [AMQPEndpoint: AMQPError] = [:]
                    for await event in connection.events {
                        guard case .disconnected(let error, let endpoint) = event else { continue }
                        errors[endpoint] = error
                        failures += 1
                        if !error.isRetriable { refusals += 1 }
                        // Each address may have another password.
                        if refusals >= endpoints.count || failures >= Self.rounds * endpoints.count {
                            throw Self.failure(endpoints.compactMap { address in errors[address].map { "\(address) (\($0))" } })
                        }
                    }
                    try await Task.sleep(for: limit)
                }
            }
            group.addTask {
                try await Task.sleep(for: limit)
                throw Self.failure(endpoints.map(\.description), " within \(Quantity.number(limit / .seconds(1))) s")
            }
            try await group.next()
            group.cancelAll()
        }
    }

    private static func failure(_ addresses: [String], _ more: String = "") -> CommandFailure {
        CommandFailure(.noAnswer, "no connection to the broker at \(addresses.joined(separator: ", "))\(more)")
    }
}
