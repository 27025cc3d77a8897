import AMQP
import Basics
import Logging
import OsloMessaging
import Testing

@testable import pivotd

@Suite(.timeLimit(.minutes(10))) struct BrokerWatchTests {
    /// Ports 1 and 2 of this host refuse connections.
    private static let endpoints = [1, 2].map {
        AMQPEndpoint(host: "127.0.0.1", port: $0, credentials: AMQPCredentials(username: "user", password: "hunter2"))
    }

    /// - Parameter isRunning: Whether anybody connects.
    private static func failure(isRunning: Bool, within timeout: Duration? = nil) async -> CommandFailure? {
        var configuration = AMQPConfiguration(endpoints: endpoints)
        (configuration.initialBackoff, configuration.maxBackoff) = (.milliseconds(1), .milliseconds(1))
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let transport = AMQPTransport(
            configuration: configuration, consuming: AMQPTopology(), publishing: AMQPTopology(), logger: logger)
        let others: [@Sendable () async throws -> Void] = isRunning ? [transport.run] : []
        let failure = await #expect(throws: CommandFailure.self) {
            try await alongside(others) {
                try await BrokerWatch(transport).waitUntilConnected(to: endpoints, within: timeout)
            }
        }
        return failure
    }

    @Test func everyAddressThatWasTriedIsNamed() async {
        let refusal = "(connect failed: connection refused or host unreachable)"
        let failure = await Self.failure(isRunning: true)
        #expect(failure?.status == .noAnswer)
        #expect(failure?.message == "no connection to the broker at 127.0.0.1:1 \(refusal), 127.0.0.1:2 \(refusal)")
    }

    @Test func soIsEachAfterATimeOut() async {
        let failure = await Self.failure(isRunning: false, within: .milliseconds(500))
        #expect(failure?.message == "no connection to the broker at 127.0.0.1:1, 127.0.0.1:2 within 0.5 s")
    }
}
