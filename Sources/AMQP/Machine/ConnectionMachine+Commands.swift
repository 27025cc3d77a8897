internal import Basics
internal import DequeModule

/// Callers' commands.
extension ConnectionMachine {
    mutating func execute(_ command: Command) {
        switch command {
        case .publish(let publish):
            if isBlocked { held.append(publish) } else if let action = sending(publish) { write(action) }
        case .acknowledge(let tag):
            acknowledged.append(tag)
        case .reject(let tag, let requeue):
            if let isInStream = core.withState({ $0.ledger.write(rejected: tag, requeue: requeue) }) {
                write(rejection(of: tag.value, requeue: requeue, inStream: isInStream))
            }
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
            cancelGated()
            steps.append(.answer(reply))
        }
    }

    /// Answers commands that can no longer be carried out.
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

    /// Reports to a caller that the broker refused its declaration; nothing of it is kept.
    ///
    /// - Throws: The error, if it ends more than a channel or no caller is waiting.
    mutating func refuseDeclaration(_ error: AMQPError) throws(AMQPError) {
        guard let (unit, _, reply) = declaring else { throw error }
        declaring = nil
        registry.remove(unit)
        queueNames[unit.id] = nil
        reply.resume(.failure(error))
        guard error.code == .channelClosed else { throw error }
    }

    /// Starts tracking a publish's confirm; nil if it cannot be sent, which is reported to its caller.
    mutating func sending(_ publish: PendingPublish) -> Action? {
        do throws(AMQPError) {
            try publish.message.properties.validate(frameMax: frameMax)
        } catch {
            finish([publish.reply], .failure(error))
            return nil
        }
        confirms.add(publish)
        return .publish(publish)
    }

    func finish(_ replies: [Reply<PublishConfirmation>], _ result: Result<PublishConfirmation, AMQPError>) {
        guard !replies.isEmpty else { return }
        core.withState { $0.publishesInFlight -= replies.count }
        for reply in replies { reply.resume(result) }
    }

    mutating func expirePublishes(_ now: ContinuousClock.Instant) {
        var expired = confirms.expire(now).map(\.publish.reply)
        while let first = held.first, first.deadline <= now {
            held.removeFirst()
            expired.append(first.reply)
        }
        let text = isBlocked ? "the broker blocks publishers" : "no confirm from the broker"
        finish(expired, .failure(AMQPError(code: .timedOut, message: text)))
    }
}
