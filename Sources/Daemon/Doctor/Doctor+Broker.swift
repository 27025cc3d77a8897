import AMQP
import OsloMessaging
import Settings

extension Doctor {
    /// For the connection, and again for the handshake.
    private static let connectTimeout = Duration.seconds(5)
    /// To connect to one host, including name resolution.
    private static let hostTimeout = Duration.seconds(30)
    /// For all questions to it; each may time out.
    private static let questionsTimeout = Duration.seconds(120)

    /// Checks each of the broker's hosts, and on one of them what the worker would declare, consume and publish.
    func broker() async -> [Finding] {
        let settings: BrokerSettings
        do {
            settings = try BrokerSettings(configuration.bus)
        } catch {
            return [.failure("broker", "\(error)", remedy: "correct the configuration")]
        }
        let probes = settings.url.hosts.map {
            AMQPProbe(AMQPEndpoint($0), configuration: settings.amqp(within: Self.connectTimeout))
        }
        let errors = await Self.errors(of: probes)
        let notes = [credentials(settings), Self.verification(settings)].compactMap(\.self)
        let findings = Self.hosts(settings, errors)
        guard let index = errors.firstIndex(where: { $0 == nil }) else { return findings }
        return await findings + notes + queues(probes[index], settings, within: Self.questionsTimeout)
    }

    /// Why each host cannot be used; all are tried concurrently.
    private static func errors(of probes: [AMQPProbe]) async -> [AMQPError?] {
        await withTaskGroup(of: (Int, AMQPError?).self) { group in
            for (index, probe) in probes.enumerated() {
                group.addTask {
                    do throws(AMQPError) {
                        _ = try await probe.ask(within: hostTimeout)
                        return (index, nil)
                    } catch {
                        return (index, error)
                    }
                }
            }
            return await group.reduce(into: Array(repeating: nil, count: probes.count)) { $0[$1.0] = $1.1 }
        }
    }

    /// One finding per host. The worker can do without a host that is down as long as another works; a host that refuses it is a
    /// configuration error.
    static func hosts(_ settings: BrokerSettings, _ errors: [AMQPError?]) -> [Finding] {
        let isAlone = errors.count == 1
        let isUsable = errors.contains { $0 == nil }
        return zip(settings.url.hosts, errors).map { host, error in
            let name = isAlone ? "broker" : "broker \(AMQPEndpoint(host))"
            let detail = isAlone ? "\(settings.url)" : "\(host)"
            guard let error else { return .ok(name, detail) }
            let finding = Finding.failure(name, "\(detail): \(error)", remedy: Self.remedy(error))
            let isDown = error.code != .authenticationFailed && error.code != .tls
            return isUsable && isDown ? finding.asWarning : finding
        }
    }

    private static func remedy(_ error: AMQPError) -> String {
        switch error.code {
        case .authenticationFailed: "check user name, password and virtual host, and rabbitmqctl list_permissions"
        case .tls: "check ssl, ssl_ca_file, ssl_cert_file and ssl_key_file"
        default: "check transport_url, and that RabbitMQ is running and reachable"
        }
    }

    /// Warns about TLS that only protects against eavesdropping.
    private static func verification(_ settings: BrokerSettings) -> Finding? {
        guard let tls = settings.amqp.tls, !tls.verifyPeer else { return nil }
        return .warning("broker", "its certificate is not verified", remedy: "set ssl_ca_file")
    }

    /// Warns about the default password.
    private func credentials(_ settings: BrokerSettings) -> Finding? {
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

    func amqp(within limit: Duration) -> AMQPConfiguration {
        var configuration = amqp
        configuration.connectTimeout = limit
        return configuration
    }
}
