import AMQP
import OsloMessaging

extension Doctor {
    /// Compares what is declared already with what the worker would declare. Nothing is made that is not there.
    func queues(_ connection: AMQPConnection, _ settings: BrokerSettings) async -> [Finding] {
        let bus = configuration.bus
        let server = settings.topology.server(topic: bus.topic, host: bus.host)
        var findings: [Finding] = []
        for exchange in server.exchanges {
            findings.append(
                await declared(
                    "exchange \(exchange.name)", on: connection, AMQPTopology(exchanges: [exchange.asPassive]),
                    AMQPTopology(exchanges: [exchange])))
        }
        // The fanout queue is made anew with each start.
        for queue in server.queues where !queue.name.hasPrefix("\(bus.topic)_fanout_") {
            findings.append(
                await declared(
                    "queue \(queue.name)", on: connection, AMQPTopology(queues: [queue.asPassive]),
                    AMQPTopology(queues: [queue])))
        }
        guard bus.notifications else { return findings }
        let notifications = settings.topology.notifications(
            topic: bus.notificationTopic, priorities: [.info, .error], maxLength: bus.notificationQueueMaxLength)
        for queue in notifications.flatMap(\.queues) {
            let finding = await declared(
                "queue \(queue.name)", on: connection, AMQPTopology(queues: [queue.asPassive]), AMQPTopology(queues: [queue]))
            // pivotd run goes on without its notifications.
            findings.append(finding.asWarning)
        }
        return findings
    }

    private func declared(
        _ name: String, on connection: AMQPConnection, _ passive: AMQPTopology, _ active: AMQPTopology
    ) async -> Finding {
        do {
            try await connection.declare(passive)
        } catch {
            guard error.replyCode == 404 else { return Self.refused(name, error) }
            return .ok(name, "not there yet: pivotd run makes it")
        }
        do {
            // It is there, so this makes nothing: the broker compares, and refuses what differs.
            try await connection.declare(active)
            return .ok(name, "there, and as configured")
        } catch {
            return Self.refused(name, error)
        }
    }

    private static func refused(_ name: String, _ error: AMQPError) -> Finding {
        let remedy =
            switch error.replyCode {
            case 406:
                "set amqp_durable_queues, amqp_auto_delete, rabbit_quorum_queue and the other rabbit_ options as the services "
                    + "that declared it, or delete it"
            case 403: "give the user permission: rabbitmqctl set_permissions"
            case 405: "another connection holds it exclusively: find that with rabbitmqctl list_queues"
            default: "look into the broker's log"
            }
        return .failure(name, error.message, remedy: remedy)
    }
}

extension ExchangeDeclaration {
    fileprivate var asPassive: ExchangeDeclaration {
        var declaration = self
        declaration.passive = true
        return declaration
    }
}

extension QueueDeclaration {
    fileprivate var asPassive: QueueDeclaration {
        var declaration = self
        declaration.passive = true
        return declaration
    }
}
