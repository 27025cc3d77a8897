internal import Basics
internal import DequeModule

/// What callers ask.
extension ConnectionMachine {
    mutating func execute(_ command: Command) {
        switch command {
        case .publish(let publish):
            if isBlocked { held.append(publish) } else if let action = sending(publish) { write(action) }
        case .acknowledge(let tag):
            acknowledged.append(tag)
        case .reject(let tag, let requeue):
            if core.withState({ $0.ledger.write(tag) }) { write(.reject(tag.value, requeue: requeue)) }
        case .declare(let topology, let isKept, let reply):
            do throws(AMQPError) {
                try topology.validate(frameMax: frameMax)
            } catch {
                return _ = reply.resume(.failure(error))
            }
            let unit = registry.add(topology)
            declaring = (unit, isKept, reply)
            write(.declare(unit))
            steps.append(contentsOf: [.startConsumers, .finishDeclaration])
        case .startConsuming(let reply):
            steps.append(contentsOf: [.startConsumers, .answer(reply)])
        case .stopConsuming(let reply):
            for (tag, consumer) in consumers where consumer.unit.isGated {
                write(.cancel(tag: tag))
                retire(tag)
            }
            updateConsuming()
            steps.append(.answer(reply))
        }
    }

    /// Answers commands that cannot be carried out any more.
    func refuse(_ commands: [Command], _ error: AMQPError) {
        core.withState { state in
            state.publishesInFlight -= commands.count { if case .publish = $0 { true } else { false } }
        }
        IOLoop.refuse(commands, error)
    }

    mutating func finishDeclaration() {
        guard let (unit, isKept, reply) = declaring else { return }
        declaring = nil
        if !isKept { registry.remove(unit) }
        reply.resume(.success(queueNames[unit.id] ?? []))
    }

    /// Tells a caller that the broker refused what it declared; nothing of it is kept.
    ///
    /// - Throws: an error that ends more than a channel.
    mutating func refuseDeclaration(_ error: AMQPError) throws(AMQPError) {
        guard let (unit, _, reply) = declaring else { throw error }
        declaring = nil
        registry.remove(unit)
        queueNames[unit.id] = nil
        reply.resume(.failure(error))
        guard error.code == .channelClosed else { throw error }
    }

    /// Begins to wait for a publish's confirm; nil when it cannot be sent, which its caller is told.
    mutating func sending(_ publish: PendingPublish) -> Action? {
        do throws(AMQPError) {
            try publish.message.properties.validate(frameMax: frameMax)
        } catch {
            finish([publish.reply], .failure(error))
            return nil
        }
        confirms.add(
            .init(
                waiter: publish.reply, exchange: publish.exchange, routingKey: publish.routingKey, message: publish.message,
                mandatory: publish.mandatory, deadline: publish.deadline))
        return .publish(publish)
    }

    func finish(_ replies: [Reply<PublishConfirmation>], _ result: Result<PublishConfirmation, AMQPError>) {
        guard !replies.isEmpty else { return }
        core.withState { $0.publishesInFlight -= replies.count }
        for reply in replies { reply.resume(result) }
    }

    mutating func expirePublishes(_ now: ContinuousClock.Instant) {
        var expired = confirms.expire(now).map(\.waiter)
        while let first = held.first, first.deadline <= now {
            held.removeFirst()
            expired.append(first.reply)
        }
        let text = isBlocked ? "the broker blocks publishers" : "no confirm from the broker"
        finish(expired, .failure(AMQPError(code: .timedOut, message: text)))
    }
}
