import AMQP
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
    ///   - endpoints: how many addresses the broker has.
    ///   - timeout: for the connection, if shorter than pivotd's own limit.
    /// - Throws: ``CommandFailure`` with status `noAnswer`.
    func waitUntilConnected(endpoints: Int, within timeout: Duration? = nil) async throws {
        let limit = min(timeout ?? Self.limit, Self.limit)
        try await withThrowingTaskGroup { group in
            group.addTask {
                for connection in connections { try await connection.waitUntilConnected() }
            }
            for connection in watched {
                group.addTask {
                    var (failures, refusals) = (0, 0)
                    for await event in connection.events {
                        guard case .disconnected(let error) = event else { continue }
                        failures += 1
                        if !error.isRetriable { refusals += 1 }
                        // Each address may have another password.
                        if refusals >= endpoints || failures >= Self.rounds * endpoints { throw Self.failure(error) }
                    }
                    try await Task.sleep(for: limit)
                }
            }
            group.addTask {
                try await Task.sleep(for: limit)
                throw CommandFailure(.noAnswer, "no connection to the broker within \(limit / .seconds(1)) s")
            }
            try await group.next()
            group.cancelAll()
        }
    }

    private static func failure(_ error: AMQPError) -> CommandFailure {
        CommandFailure(.noAnswer, "no connection to the broker: \(error)")
    }
}
