import AMQP
import OsloMessaging
import Settings

extension Doctor {
    /// Something the worker needs at the broker, and all that it does with it.
    private struct Need {
        let name: String
        let questions: [AMQPQuestion]
        /// Whether `pivotd run` goes on without it.
        var isOptional = false
    }

    /// Compares what is declared already with what the worker would declare, and asks whether it may do what it has to. Nothing is made
    /// that is not there, no message is taken or sent.
    func queues(_ probe: AMQPProbe, _ settings: BrokerSettings, within limit: Duration) async -> [Finding] {
        let needs = needs(settings)
        do {
            let answers = try await probe.ask(needs.flatMap(\.questions), within: limit)
            var rest = answers[...]
            return needs.flatMap { need in
                defer { rest = rest.dropFirst(need.questions.count) }
                return Self.findings(need, Array(rest.prefix(need.questions.count)), virtualHost: settings.url.virtualHost)
            }
        } catch {
            return [.failure("broker", "\(probe.endpoint): \(error)", remedy: "look into RabbitMQ's log")]
        }
    }

    /// Publishes come last: a broker that blocks publishers answers nothing after one.
    private func needs(_ settings: BrokerSettings) -> [Need] {
        let bus = configuration.bus
        let fanoutID = UniqueID.random()
        let server = settings.topology.server(topic: bus.topic, host: bus.host, fanoutID: fanoutID)
        let declarations = Self.needs(server, named: { $0.replacing(fanoutID, with: "*") })
        // To a queue that nobody has.
        let reply = AMQPQuestion.publish(exchange: "", routingKey: "reply_\(UniqueID.random())")
        let replies = Need(name: "replies", questions: [reply])
        guard bus.notifications else { return declarations + [replies] }
        let parts = settings.topology.notifications(
            topic: bus.notificationTopic, priorities: [.info, .error], maxLength: bus.notificationQueueMaxLength)
        let topology = AMQPTopology(queues: parts.flatMap(\.queues), bindings: parts.flatMap(\.bindings))
        let publishes = topology.bindings.map { AMQPQuestion.publish(exchange: $0.exchange, routingKey: $0.routingKey) }
        let notifications = Need(name: "notifications", questions: publishes, isOptional: true)
        return declarations + Self.needs(topology, isOptional: true) + [replies, notifications]
    }

    private static func needs(
        _ topology: AMQPTopology, named name: (String) -> String = { $0 }, isOptional: Bool = false
    ) -> [Need] {
        let exchanges = topology.exchanges.map { Need(name: "exchange \($0.name)", questions: [.exchange($0)]) }
        let queues = topology.queues.map { queue in
            Need(
                name: "queue \(name(queue.name))",
                questions: [.queue(queue)] + topology.bindings.filter { $0.queue == queue.name }.map { .binding($0) }
                    + topology.consumers.filter { $0.queue == queue.name }.map { .consumer($0) }, isOptional: isOptional)
        }
        return exchanges + queues
    }

    private static func findings(_ need: Need, _ answers: [AMQPAnswer], virtualHost: String) -> [Finding] {
        let refused = zip(need.questions, answers).compactMap { question, answer -> Finding? in
            if case .no(let error) = answer { Self.refused(need, question, error, virtualHost: virtualHost) } else { nil }
        }
        guard refused.isEmpty else { return refused }
        switch (need.questions.first, answers.first) {
        case (.publish?, _): return [.ok(need.name, "may be published")]
        case (_, .notThereYet?): return [.ok(need.name, "not there yet: pivotd run may make it")]
        default: return [.ok(need.name, "there, and as configured")]
        }
    }

    private static func refused(
        _ need: Need, _ question: AMQPQuestion, _ error: AMQPError, virtualHost: String
    ) -> Finding {
        let remedy =
            switch error.replyCode {
            case 406:
                "set amqp_durable_queues, amqp_auto_delete, rabbit_quorum_queue and the other rabbit_ options as the services "
                    + "that declared it, or delete it"
            case 403:
                "\(question.permissions): rabbitmqctl set_permissions -p \(virtualHost), and set_topic_permissions where there are any"
            case 404: "start the cluster's node that it lives on"
            case 405: "another connection holds it exclusively: find that with rabbitmqctl list_queues"
            default: "look into RabbitMQ's log; it takes no publishes while it is short of memory or disk space"
            }
        let finding = Finding.failure(need.name, "\(question.deed): \(error.message)", remedy: remedy)
        // The worker goes on with its other queues, and comes back to it by itself.
        return need.isOptional || error.isHomeNodeDown ? finding.asWarning : finding
    }
}

extension AMQPQuestion {
    fileprivate var deed: String {
        switch self {
        case .exchange, .queue: "it cannot be declared"
        case .binding(let binding): "it cannot be bound to exchange \(binding.exchange) with key \(binding.routingKey)"
        case .consumer: "it cannot be consumed"
        case .publish(let exchange, let key):
            exchange.isEmpty ? "nothing can be published to reply queues" : "\(key) cannot be published to exchange \(exchange)"
        }
    }

    /// What RabbitMQ has to allow for it.
    fileprivate var permissions: String {
        switch self {
        case .exchange(let exchange): "give the user the configure permission for \(exchange.name)"
        case .queue(let queue): "give the user the configure permission for \(queue.name)"
        case .binding(let binding): "give the user write for \(binding.queue) and read for \(binding.exchange)"
        case .consumer(let consumer): "give the user the read permission for \(consumer.queue)"
        case .publish(let exchange, _): "give the user the write permission for \(exchange.isEmpty ? "amq.default" : exchange)"
        }
    }
}
