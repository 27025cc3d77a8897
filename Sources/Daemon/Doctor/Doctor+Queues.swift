import AMQP
import OsloMessaging
import Settings

extension Doctor {
    /// Something the worker needs at the broker, and every use it makes of it.
    private struct Need {
        let name: String
        let questions: [AMQPQuestion]
        /// Whether `pivotd run` can do without it.
        var isOptional = false

        var isConsumed: Bool { questions.contains { if case .consumer = $0 { true } else { false } } }
    }

    /// Compares what exists with what the worker would declare, and asks for every permission it needs. Creates nothing, and
    /// takes or sends no message.
    func queues(_ probe: AMQPProbe, _ settings: BrokerSettings, within limit: Duration) async -> [Finding] {
        let needs = needs(settings)
        let own = "\(configuration.bus.topic).\(configuration.bus.host)"
        do {
            let answers = try await probe.ask([AMQPQuestion.consumers(queue: own)] + needs.flatMap(\.questions), within: limit)
            var rest = answers.dropFirst()
            let answered = needs.map { need in
                defer { rest = rest.dropFirst(need.questions.count) }
                return (need: need, answers: Array(rest.prefix(need.questions.count)))
            }
            let isServed = answered.contains { need, answers in need.isConsumed && !answers.contains(where: \.isNo) }
            let findings = answered.flatMap { need, answers in
                Self.findings(
                    need, answers, obstacle: Self.obstacle(to: need, answered, exchange: configuration.bus.exchange),
                    isServed: isServed, virtualHost: settings.url.virtualHost)
            }
            guard case .count(let consumers)? = answers.first, consumers > 0 else { return findings }
            return findings + [Self.sharing(own, consumers: consumers, hasWorker: mayHaveWorker)].compactMap(\.self)
        } catch {
            return [.failure("broker", "\(probe.endpoint): \(error)", remedy: "check RabbitMQ's log")]
        }
    }

    /// Warns of consumers of the worker's own queue besides the worker: of two with one name, each gets requests for the other's host.
    ///
    /// - Parameter hasWorker: Whether the worker of this host may be one of them. It consumes the queue once.
    static func sharing(_ queue: String, consumers: Int, hasWorker: Bool) -> Finding? {
        guard consumers > (hasWorker ? 1 : 0) else { return nil }
        let detail =
            hasWorker
            ? "has \(consumers) consumers, and this host's worker is only one of them"
            : "is consumed, although no worker has this state_dir open"
        return .warning(
            "queue \(queue)", detail,
            remedy: "give each worker a host of its own; a connection that was lost counts until RabbitMQ notices")
    }

    /// Publishes come last, because a broker that blocks publishers answers nothing after one.
    private func needs(_ settings: BrokerSettings) -> [Need] {
        let bus = configuration.bus
        let fanoutID = UniqueID.random()
        let server = settings.topology.server(topic: bus.topic, host: bus.host, fanoutID: fanoutID)
        let declarations = Self.needs(server, named: { $0.replacing(fanoutID, with: "*") })
        // To a queue that does not exist.
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

    /// What keeps `pivotd run` from declaring something that does not exist yet; nil if nothing does.
    ///
    /// It declares its own exchanges and queues in order, and stops at the first that is refused. Of the notification queues it declares
    /// none while another one, or the exchange, has other settings.
    private static func obstacle(
        to need: Need, _ answered: [(need: Need, answers: [AMQPAnswer])], exchange: String
    ) -> String? {
        func refusal(_ answers: [AMQPAnswer]) -> AMQPError? { if case .no(let error)? = answers.first { error } else { nil } }
        if need.isOptional {
            let other = answered.first { other, answers in
                (other.isOptional || other.name == "exchange \(exchange)") && refusal(answers)?.isMismatch ?? false
            }
            return other.map { "\($0.need.name) has other settings" }
        }
        let own = answered.prefix { $0.need.name != need.name }
        let refused = own.first { need, answers in
            refusal(answers).map { !(need.questions.first?.isUnreachable($0) ?? false) } ?? false
        }
        return refused.map { "\($0.need.name) is refused" }
    }

    private static func findings(
        _ need: Need, _ answers: [AMQPAnswer], obstacle: String?, isServed: Bool, virtualHost: String
    ) -> [Finding] {
        let refused = zip(need.questions, answers).compactMap { question, answer -> Finding? in
            guard case .no(let error) = answer else { return nil }
            return Self.refused(need, question, error, isServed: isServed, virtualHost: virtualHost)
        }
        guard refused.isEmpty else { return refused }
        switch (need.questions.first, answers.first) {
        case (.publish?, _): return [.ok(need.name, "may be published")]
        case (_, .notThereYet?):
            guard let obstacle else { return [.ok(need.name, "does not exist yet: pivotd run may create it")] }
            let detail = "does not exist yet: pivotd run does not create it while \(obstacle)"
            return [.warning(need.name, detail, remedy: "see there")]
        default: return [.ok(need.name, "exists as configured")]
        }
    }

    /// - Parameter isServed: Whether any queue can be consumed.
    private static func refused(
        _ need: Need, _ question: AMQPQuestion, _ error: AMQPError, isServed: Bool, virtualHost: String
    ) -> Finding {
        let remedy =
            switch error.replyCode {
            case 406: AMQPError.mismatchAdvice
            case 403:
                "\(question.permissions): rabbitmqctl set_permissions -p \(virtualHost), and set_topic_permissions if used"
            case 404: Self.startNode
            case 405: "another connection holds it exclusively: find it with rabbitmqctl list_queues"
            case nil where question.isUnreachable(error): "\(Self.startNode) if that is down, or check RabbitMQ's log"
            default: "check RabbitMQ's log; it accepts no publishes while it is short of memory or disk space"
            }
        let finding = Finding.failure(need.name, "\(question.deed): \(error.message)", remedy: remedy)
        // The worker carries on with its other queues and returns to this one on its own.
        return need.isOptional || isServed && question.isUnreachable(error) ? finding.asWarning : finding
    }

    private static let startNode = "start the cluster node that it lives on"
}

extension AMQPAnswer {
    fileprivate var isNo: Bool { if case .no = self { true } else { false } }
}

extension AMQPQuestion {
    /// Whether it is about a queue that cannot be reached for now; RabbitMQ 4 gives no answer for about a minute then.
    fileprivate func isUnreachable(_ error: AMQPError) -> Bool {
        error.isHomeNodeDown || queue != nil && error.code == .timedOut
    }

    fileprivate var deed: String {
        switch self {
        case .exchange, .queue: "it cannot be declared"
        case .binding(let binding): "it cannot be bound to exchange \(binding.exchange) with key \(binding.routingKey)"
        case .consumer: "it cannot be consumed"
        case .consumers: "its consumers cannot be counted"
        case .publish(let exchange, let key):
            exchange.isEmpty ? "nothing can be published to reply queues" : "\(key) cannot be published to exchange \(exchange)"
        }
    }

    /// The permissions it needs, as advice.
    fileprivate var permissions: String {
        switch self {
        case .exchange(let exchange): "give the user the configure permission for \(exchange.name)"
        case .queue(let queue): "give the user the configure permission for \(queue.name)"
        case .binding(let binding): "give the user write for \(binding.queue) and read for \(binding.exchange)"
        case .consumer(let consumer): "give the user the read permission for \(consumer.queue)"
        case .consumers(let queue): "give the user the configure permission for \(queue)"
        case .publish(let exchange, _): "give the user the write permission for \(exchange.isEmpty ? "amq.default" : exchange)"
        }
    }
}
