internal import DequeModule
internal import Logging

extension LiveConnection {
    func handle(_ frame: IncomingFrame) throws(AMQPError) {
        switch frame {
        case .nothing: break
        case .delivered(let message, let deliver): try deliverToReader(message, deliver)
        case .refused(let deliver, let reason, let tail) where context.configuration.bodyTail > 0:
            try deliverToReader(AMQPMessage(body: tail), deliver, refusal: reason)
        case .refused(let deliver, let reason, _):
            context.logger.error("rejected a delivery", metadata: ["reason": "\(reason)", "exchange": "\(deliver.exchange)"])
            try session.reject(deliver.deliveryTag, requeue: false)
        case .returned(let message, let returned):
            let isKnown = confirms.markReturned(
                exchange: returned.exchange, routingKey: returned.routingKey, message: message, replyCode: returned.replyCode,
                replyText: returned.replyText)
            if !isKnown {
                context.logger.debug("a returned message has no publish", metadata: ["exchange": "\(returned.exchange)"])
            }
        case .acknowledged(let sequence, let multiple): settle(confirms.settle(sequence, multiple: multiple))
        case .notAcknowledged(let sequence, let multiple):
            let error = AMQPError(code: .nacked, message: "the broker could not take the message")
            finish(confirms.settle(sequence, multiple: multiple).map(\.waiter), .failure(error))
        case .consumerCancelled(let tag, let needsAnswer): try consumerCancelled(tag, needsAnswer: needsAnswer)
        case .consumerEnded(let tag): ending.remove(tag)
        case .channelClosed(let channel, let error): try channelClosed(channel, error)
        case .flow(let channel, let active): try session.confirmFlow(channel, active: active)
        case .connectionClosed(let error):
            session.confirmConnectionClose()
            throw error
        case .blocked(let reason):
            isBlocked = true
            core.withState { $0.isBlocked = true }
            context.logger.warning("RabbitMQ blocks publishers", metadata: ["reason": "\(reason)"])
            context.events.yield(.blocked(reason: reason))
        case .unblocked: try unblocked()
        }
    }

    private func deliverToReader(
        _ message: AMQPMessage, _ deliver: IncomingFrame.Deliver, refusal: String? = nil
    ) throws(AMQPError) {
        let consumer = consumers[deliver.consumerTag] ?? cancelled[deliver.consumerTag]
        if consumer?.unit.isGated ?? true, try !hasRoom() { return try session.reject(deliver.deliveryTag, requeue: true) }
        let tag = DeliveryTag(epoch: epoch, channel: Session.Channel.consume, value: deliver.deliveryTag)
        core.withState { $0.ledger.add(deliver.deliveryTag, bytes: message.size) }
        context.deliveries.yield(
            AMQPDelivery(
                message: message, exchange: deliver.exchange, routingKey: deliver.routingKey, redelivered: deliver.redelivered,
                consumerTag: deliver.consumerTag, tag: tag, refusal: refusal),
            acknowledgesItself: consumer?.declaration.noAck ?? false)
    }

    private func settle(_ entries: [ConfirmTracker<Reply<PublishConfirmation>>.Entry]) {
        guard !entries.isEmpty else { return }
        core.withState { $0.publishesInFlight -= entries.count }
        for entry in entries {
            let outcome = entry.returned.map { PublishConfirmation.returned(replyCode: $0.replyCode, replyText: $0.replyText) }
            entry.waiter.resume(returning: .success(outcome ?? .confirmed))
        }
    }

    private func unblocked() throws(AMQPError) {
        isBlocked = false
        core.withState { $0.isBlocked = false }
        context.logger.info("RabbitMQ takes publishes again")
        context.events.yield(.unblocked)
        while let publish = held.popFirst() { try send(publish) }
    }

    /// Its queue went away: declare what it belongs to and consume again.
    private func consumerCancelled(_ tag: String, needsAnswer: Bool) throws(AMQPError) {
        if needsAnswer { try session.confirmCancel(tag: tag) }
        guard let consumer = consumers[tag] else { return }
        retire(tag)
        updateConsuming()
        context.logger.warning("RabbitMQ cancelled a consumer", metadata: ["queue": "\(consumer.declaration.queue)"])
        context.events.yield(.consumerCancelled(tag: tag))
        try guardAgainstHotLoop(AMQPError(code: .connectionClosed, message: "consumers are cancelled as soon as they start"))
        try declare(consumer.unit)
        try startConsumers()
    }

    private func channelClosed(_ channel: UInt16, _ error: AMQPError) throws(AMQPError) {
        var metadata: Logger.Metadata = ["reason": "\(error.message)"]
        if let replyCode = error.replyCode { metadata["reply_code"] = "\(replyCode)" }
        switch channel {
        case Session.Channel.publish:
            context.logger.warning("RabbitMQ closed the publishing channel", metadata: metadata)
            try session.confirmChannelClose(channel)
            reader.reset(channel)
            failPublishes(error)
            try session.openChannel(channel)
            try session.selectConfirms(channel)
        case Session.Channel.consume:
            context.logger.warning("RabbitMQ closed the consuming channel: \(error.advice)", metadata: metadata)
            try guardAgainstHotLoop(error)
            try reopenConsumeChannel()
        default:
            try session.confirmChannelClose(channel)
            try session.openChannel(channel)
        }
    }

    /// The broker does not say which publish it was, only what it was about; the others may be tried again.
    private func failPublishes(_ error: AMQPError) {
        let entries = confirms.reset()
        let isNamed = entries.map { error.isAboutPublish(to: $0.exchange, bodySize: $0.message.body.count) }
        let isNobody = !isNamed.contains(true)
        for (entry, isCulprit) in zip(entries, isNamed) {
            let outcome = AMQPError(
                code: .channelClosed, message: error.message, replyCode: isCulprit || isNobody ? error.replyCode : nil,
                isRetriable: !isCulprit)
            finish([entry.waiter], .failure(outcome))
        }
    }

    /// What ends right after it began is left to the reconnect's back-off.
    private func guardAgainstHotLoop(_ error: AMQPError) throws(AMQPError) {
        let now = ContinuousClock.now
        defer { consumeChannelOpened = now }
        guard now - consumeChannelOpened >= .seconds(2) else { throw error }
    }
}
