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
        #expect(error?.problems.joined().contains("like rabbit_quorum_queue") == true)
        #expect(throws: ConfigurationError.self) { try bus("heartbeat_timeout_threshold=soon").amqpConfiguration(name: "") }
        let secret = #expect(throws: ConfigurationError.self) {
            try bus("hunter2aaaaaaaaaaaaaaaaaaaaaaa").amqpConfiguration(name: "")
        }
        #expect(secret.map { "\($0)".contains("hunter2") } == false)
        let value = #expect(throws: ConfigurationError.self) { try bus("Zq9x=5%!").amqpConfiguration(name: "") }
        #expect(value.map { "\($0)".contains("Zq9x") } == false)
    }

    @Test("The URL's TLS files count also if the configuration asks for TLS; a threshold of 0 proposes no heartbeats")
    func tlsFiles() throws {
        let bus = try PivotdConfiguration.load(
            flags: ["transport_url": "rabbit://u:p@h/?ssl_ca_file=/ca.pem&heartbeat_timeout_threshold=0", "ssl": "true"],
            environment: [:], defaultFile: "/nonexistent/pivotd.yaml"
        ).bus
        let configuration = try bus.amqpConfiguration(name: "")
        #expect(configuration.tls?.caFile == "/ca.pem" && configuration.tls?.verifyPeer == true)
        #expect(configuration.heartbeat == .zero)
    }
}
