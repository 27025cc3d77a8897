import AMQP
import OsloMessaging
import Settings
import Testing

@testable import Daemon

@Suite struct PivotdConfigurationAMQPTests {
    @Test("Keys of the transport URL's query are oslo.messaging's, or an error with a suggestion")
    func queryKeys() throws {
        func bus(_ query: String) throws -> PivotdConfiguration.Bus {
            try PivotdConfiguration.load(
                flags: ["transport_url": "rabbit://u:p@h/?\(query)"], environment: [:], defaultFile: "/nonexistent/pivotd.yaml"
            ).bus
        }
        #expect(
            try bus("heartbeat_timeout_threshold=7&kombu_reconnect_delay=2").amqpConfiguration(name: "").heartbeat == .seconds(7))
        #expect(try bus("rabbit_quorum_queue=true").topology().options.quorumQueue)
        let error = #expect(throws: ConfigurationError.self) { try bus("rabbit_quorum_queues=true").topology() }
        #expect(error?.problems.joined().contains("did you mean rabbit_quorum_queue?") == true)
        #expect(throws: ConfigurationError.self) { try bus("heartbeat_timeout_threshold=soon").amqpConfiguration(name: "") }
        let secret = #expect(throws: ConfigurationError.self) {
            try bus("hunter2aaaaaaaaaaaaaaaaaaaaaaa").amqpConfiguration(name: "")
        }
        #expect(secret.map { "\($0)".contains("hunter2") } == false)
    }
}
