import AMQP
import Foundation
import OsloMessaging

extension Doctor {
    private static let brokerTimeout = Duration.seconds(10)

    /// The broker: reached, logged in, and its exchanges and queues as the worker would declare them.
    func broker() async -> [Finding] {
        let settings: BrokerSettings
        do {
            settings = try BrokerSettings(configuration.bus)
        } catch {
            return [.failure("broker", "\(error)", remedy: "correct the configuration")]
        }
        let connection = AMQPConnection(
            configuration: settings.amqp, logger: logger)
        return await withTaskGroup(of: [Finding]?.self) { group in
            group.addTask {
                try? await connection.run()
                return nil
            }
            group.addTask {
                if let failure = await connected(connection, settings) { return [failure] }
                let notes = [await credentials(settings), Self.verification(settings)].compactMap(\.self)
                let found = [Finding.ok("broker", "\(settings.url)")] + notes
                return await found + queues(connection, settings)
            }
            defer { group.cancelAll() }
            for await findings in group {
                if let findings { return findings }
            }
            return [.failure("broker", "the connection ended", remedy: "look into the broker's log")]
        }
    }

    /// nil when connected.
    private func connected(_ connection: AMQPConnection, _ settings: BrokerSettings) async -> Finding? {
        await withTaskGroup(of: Finding?.self) { group in
            defer { group.cancelAll() }
            group.addTask {
                var last: AMQPError?
                var failures = 0
                for await event in connection.events {
                    if case .connected = event { return nil }
                    guard case .disconnected(let error) = event else { continue }
                    last = error
                    failures += 1
                    if !error.isRetriable || failures >= 2 * settings.url.hosts.count { break }
                }
                return Self.refused(last, settings)
            }
            group.addTask {
                try? await Task.sleep(for: Self.brokerTimeout)
                return Self.refused(nil, settings)
            }
            return await group.next() ?? nil
        }
    }

    private static func refused(_ error: AMQPError?, _ settings: BrokerSettings) -> Finding {
        let remedy =
            switch error?.code {
            case .authenticationFailed?: "check user name, password and virtual host, and rabbitmqctl list_permissions"
            case .tls?: "check ssl, ssl_ca_file, ssl_cert_file and ssl_key_file"
            default: "check transport_url, and that RabbitMQ runs and can be reached"
            }
        return .failure("broker", "\(settings.url): \(error.map { "\($0)" } ?? "no answer")", remedy: remedy)
    }

    /// TLS that protects from listeners alone.
    private static func verification(_ settings: BrokerSettings) -> Finding? {
        guard let tls = settings.amqp.tls, !tls.verifyPeer else { return nil }
        return .warning("broker", "its certificate is not verified", remedy: "set ssl_ca_file")
    }

    /// A password that everybody knows.
    private func credentials(_ settings: BrokerSettings) async -> Finding? {
        let isGuest = settings.url.hosts.contains { $0.username == "guest" && $0.password == "guest" }
        let isLocal = settings.url.hosts.allSatisfy { ["localhost", "127.0.0.1", "::1"].contains($0.name) }
        guard isGuest, !isLocal else { return nil }
        return .warning("broker", "logged in as guest with the default password", remedy: "give pivotd a user of its own")
    }
}

/// The broker as the configuration names it.
struct BrokerSettings: Sendable {
    let url: TransportURL
    let amqp: AMQPConfiguration
    let topology: OsloTopology

    init(_ bus: PivotdConfiguration.Bus) throws {
        url = try TransportURL(parsing: bus.transportURL.reveal())
        amqp = try bus.amqpConfiguration(name: "pivotd doctor")
        topology = try bus.topology()
    }
}
