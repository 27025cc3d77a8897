import Logging
import Testing

@testable import AMQP

@Suite struct AMQPConnectionTests {
    private let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    private static let credentials = AMQPCredentials(username: "user", password: "secret")

    /// Port 1 of this host refuses connections.
    private func connection(backoff: Duration = .seconds(60)) -> AMQPConnection {
        var configuration = AMQPConfiguration(
            endpoints: [AMQPEndpoint(host: "127.0.0.1", port: 1, credentials: Self.credentials)])
        (configuration.initialBackoff, configuration.maxBackoff) = (backoff, backoff)
        return AMQPConnection(configuration: configuration, logger: logger)
    }

    @Test func credentialsDoNotPrint() {
        let credentials = Self.credentials
        let configuration = AMQPConfiguration(endpoints: [AMQPEndpoint(host: "h", credentials: credentials)])
        var dumped = ""
        dump(configuration, to: &dumped)
        for text in [
            "\(credentials)", String(reflecting: credentials), "\(configuration)", String(reflecting: configuration), dumped,
        ] {
            #expect(!text.contains("secret"))
        }
        #expect("\(credentials)" == "***")
    }

    @Test func withoutABrokerEverythingAnswers() async throws {
        let connection = connection()
        await #expect(throws: AMQPError.self) {
            try await connection.publish(AMQPMessage(body: []), exchange: "", routingKey: "")
        }
        await #expect(throws: AMQPError.self) { try await connection.declare(AMQPTopology()) }
        await connection.startConsuming()
        await connection.stopConsuming()
        let isAcknowledged = await connection.acknowledge(DeliveryTag(epoch: 0, value: 1))
        #expect(!isAcknowledged)
        #expect(!connection.isConnected && !connection.isConsuming && !connection.isBlocked)
    }

    @Test func closeEndsABackoffAndAllWaiters() async throws {
        let connection = connection()
        async let run: Void = connection.run()
        let waiting = Task { try await connection.waitUntilConnected() }
        async let delivery = connection.deliveries.first { _ in true }
        var events = connection.events.makeAsyncIterator()
        guard case .disconnected(let error, let endpoint) = await events.next() else { Issue.record(); return }
        #expect(error.code == .connectFailed && error.isRetriable && "\(endpoint)" == "127.0.0.1:1")
        await connection.close()
        try await run
        await #expect(throws: AMQPError.self) { try await waiting.value }
        #expect(await delivery == nil)
        #expect(await events.next() == nil)
    }

    @Test func cancellationEndsRunAndWaits() async throws {
        let connection = connection()
        let run = Task { try await connection.run() }
        let waiting = Task { try await connection.waitUntilConnected() }
        let reading = Task { await connection.deliveries.first { _ in true } }
        waiting.cancel()
        await #expect(throws: CancellationError.self) { try await waiting.value }
        reading.cancel()
        #expect(await reading.value == nil)
        run.cancel()
        try await run.value
        try await connection.run()
    }

    @Test func closeBeforeRunMakesRunReturn() async throws {
        let connection = connection()
        await connection.close()
        try await connection.run()
    }

    @Test func noEndpointIsRefused() async {
        let configuration = AMQPConfiguration(endpoints: [])
        let connection = AMQPConnection(configuration: configuration, logger: logger)
        await #expect(throws: AMQPError.self) { try await connection.run() }
    }
}
