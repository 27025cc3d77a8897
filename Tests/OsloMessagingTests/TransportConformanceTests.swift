import AMQP
import Foundation
import Logging
import Synchronization
import Testing

@testable import OsloMessaging

@Suite(.timeLimit(.minutes(10))) struct InProcessTransportConformanceTests {
    /// Stands for the broker: one queue, whose messages go back to the transport that published them.
    private final class Loopback: Sendable {
        private struct State {
            var transport: InProcessTransport?
            var unsettled: [DeliveryTag: InProcessTransport.Published] = [:]
        }

        private let queue: String
        private let state = Mutex(State())

        init(queue: String) { self.queue = queue }

        func transport() -> InProcessTransport {
            let transport = InProcessTransport(
                onPublish: { [self] message in
                    guard message.routingKey == queue else { return message.mandatory ? .returned : .confirmed }
                    deliver(message, redelivered: false)
                    return .confirmed
                },
                onSettle: { [self] token, settlement in
                    let message = state.withLock { $0.unsettled.removeValue(forKey: token) }
                    if let message, settlement == .requeued { deliver(message, redelivered: true) }
                })
            state.withLock { $0.transport = transport }
            return transport
        }

        private func deliver(_ message: InProcessTransport.Published, redelivered: Bool) {
            state.withLock { state in
                let token = state.transport?.deliver(
                    message.body, properties: message.properties, exchange: message.exchange, routingKey: message.routingKey,
                    redelivered: redelivered)
                if let token { state.unsettled[token] = message }
            }
        }
    }

    @Test(arguments: TransportRule.allCases) func conforms(_ rule: TransportRule) async throws {
        let broker = Loopback(queue: "q")
        try await TransportConformance(transport: broker.transport(), queue: "q").check(rule)
    }
}

private let brokerURL = ProcessInfo.processInfo.environment["PIVOTD_TEST_TRANSPORT_URL"]

/// Over the broker that the integration tests name; `bus/test_transport.py` sees to it that this is not skipped there.
@Suite(.timeLimit(.minutes(10)), .enabled(if: brokerURL != nil))
struct AMQPTransportConformanceTests {
    @Test(arguments: TransportRule.allCases) func conforms(_ rule: TransportRule) async throws {
        let configuration = try TransportURL(parsing: #require(brokerURL)).amqpConfiguration(connectionName: "conformance")
        let queue = "conformance.\(UniqueID.random())"
        let topology = AMQPTopology(
            queues: [QueueDeclaration(name: queue, exclusive: true)], consumers: [ConsumerDeclaration(queue: queue)])
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let transport = AMQPTransport(
            configuration: configuration, consuming: topology, publishing: AMQPTopology(), logger: logger)
        try await TransportConformance(transport: transport, queue: queue).check(rule)
    }
}
