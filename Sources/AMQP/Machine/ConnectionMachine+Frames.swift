internal import Basics
internal import DequeModule
internal import Logging

/// Handling of the broker's frames.
extension ConnectionMachine {
    mutating func handle(_ frame: IncomingFrame) {
        switch frame {
        case .nothing: break
        case .delivered(let message, let deliver): deliverToReader(message, deliver)
        case .refused(let deliver, let reason, let message) where context.configuration.bodyTail > 0:
            deliverToReader(message, deliver, refusal: reason)
        case .refused(let deliver, let reason, let message):
            context.logger.error("rejected a delivery", metadata: ["reason": "\(reason)", "exchange": "\(deliver.exchange)"])
            let position = streamPosition(of: message, deliver)
            if let position { core.withState { $0.ledger.pass(position) } }
            write(rejection(of: deliver.deliveryTag, requeue: false, inStream: position != nil))
        case .returned(let message, let returned):
            let isKnown = confirms.markReturned(
                exchange: returned.exchange, routingKey: returned.routingKey, message: message, replyCode: returned.replyCode,
                replyText: returned.replyText)
            if !isKnown {
                context.logger.debug("a returned message matches no publish", metadata: ["exchange": "\(returned.exchange)"])
            }
        case .acknowledged(let sequence, let multiple): confirm(confirms.confirm(sequence, multiple: multiple))
        case .notAcknowledged(let sequence, let multiple):
            let error = AMQPError(code: .nacked, message: "the broker could not accept the message")
            finish(confirms.confirm(sequence, multiple: multiple).map(\.publish.reply), .failure(error))
        case .consumerCancelled(let tag, let needsAnswer): consumerCancelled(tag, needsAnswer: needsAnswer)
        case .consumerEnded(let tag): ending.remove(tag)
        case .queueFound(let channel): answered(channel, nil)
        case .channelClosed(let channel, let error): channelClosed(channel, error)
        case .flow(let channel, let active): write(.confirmFlow(channel, active: active))
        case .connectionClosed(let error):
            write(.confirmConnectionClose)
            if error.isInternal { for unit in asked.values { leaveAlone(unit, error) } }
            steps.append(.end(error))
        case .blocked(let reason):
            isBlocked = true
            core.withState { $0.isBlocked = true }
            context.logger.warning("RabbitMQ blocks publishers", metadata: ["reason": "\(reason)"])
            context.events.yield(.blocked(reason: reason))
        case .unblocked: unblocked()
        }
    }

    private mutating func deliverToReader(_ message: AMQPMessage, _ deliver: IncomingFrame.Deliver, refusal: String? = nil) {
        let position = streamPosition(of: message, deliver)
        if consumer(of: deliver)?.unit.isGated ?? true, !hasRoom() {
            if let position { core.withState { $0.ledger.postpone(position) } }
            return write(rejection(of: deliver.deliveryTag, requeue: true, inStream: position != nil))
        }
        let tag = DeliveryTag(epoch: epoch, value: deliver.deliveryTag)
        core.withState { $0.ledger.add(deliver.deliveryTag, bytes: message.size, at: position) }
        context.deliveries.yield(
            AMQPDelivery(
                message: message, exchange: deliver.exchange, routingKey: deliver.routingKey, redelivered: deliver.redelivered,
                consumerTag: deliver.consumerTag, tag: tag, refusal: refusal))
    }

    /// Nil if it does not come from a stream, whatever headers its sender has given it.
    private func streamPosition(
        of message: AMQPMessage, _ deliver: IncomingFrame.Deliver
    ) -> SettlementLedger.StreamPosition? {
        guard let consumer = consumer(of: deliver), consumer.readsStream else { return nil }
        var offset: Int64?
        if case .int64(let stated) = message.properties.headers[Self.streamOffset] { offset = stated }
        return .init(consumer: consumer.inStream, offset: offset)
    }

    private func confirm(_ entries: [ConfirmTracker.Entry]) {
        guard !entries.isEmpty else { return }
        core.withState { $0.publishesInFlight -= entries.count }
        for entry in entries {
            let outcome = entry.returned.map { PublishConfirmation.returned(replyCode: $0.replyCode, replyText: $0.replyText) }
            entry.publish.reply.resume(.success(outcome ?? .confirmed))
        }
    }

    private mutating func unblocked() {
        isBlocked = false
        core.withState { $0.isBlocked = false }
        context.logger.info("RabbitMQ accepts publishes again")
        context.events.yield(.unblocked)
        steps.append(.sendHeld)
    }

    /// The broker cancelled a consumer because its queue is gone, or the node that the queue lives on: declares its unit again
    /// once that can be done, and consumes again.
    private mutating func consumerCancelled(_ tag: String, needsAnswer: Bool) {
        if needsAnswer { write(.confirmCancel(tag: tag)) }
        guard let consumer = consumers[tag] else { return }
        retire(tag)
        core.withState { $0.ledger.forgetOffsets(of: consumer.unit.id) }
        updateConsuming()
        context.logger.warning("RabbitMQ cancelled a consumer", metadata: ["queue": "\(consumer.declaration.queue)"])
        context.events.yield(.consumerCancelled(tag: tag))
        askFirst(consumer.unit)
        guard isLongOpen() else {
            let error = AMQPError(code: .connectionClosed, message: "consumers are cancelled as soon as they start")
            return steps.append(.end(error))
        }
        steps.append(contentsOf: [.approach(consumer.unit), .startConsumers])
    }

    private mutating func channelClosed(_ channel: UInt16, _ error: AMQPError) {
        var metadata: Logger.Metadata = ["reason": "\(error.message)"]
        if let replyCode = error.replyCode { metadata["reply_code"] = "\(replyCode)" }
        switch channel {
        case Session.Channel.publish:
            context.logger.warning("RabbitMQ closed the publishing channel", metadata: metadata)
            failPublishes(error)
            write(.confirmChannelClose(channel), .openChannel(channel), .selectConfirms)
        case Session.Channel.consume:
            context.logger.warning("RabbitMQ closed the consuming channel: \(error.advice)", metadata: metadata)
            if isLongOpen() { reopenConsumeChannel() } else { steps.append(.end(error)) }
        case Session.Channel.questions...:
            write(.confirmChannelClose(channel))
            questionChannels.remove(channel)
            answered(channel, error)
        default:
            write(.confirmChannelClose(channel), .openChannel(channel))
        }
    }

    /// The broker does not say which publish it objects to, only why; all others may be retried.
    private mutating func failPublishes(_ error: AMQPError) {
        let entries = confirms.reset()
        let isNamed = entries.map { error.isAboutPublish(to: $0.publish.exchange, bodySize: $0.publish.message.body.count) }
        let isNobody = !isNamed.contains(true)
        for (entry, isCulprit) in zip(entries, isNamed) {
            let outcome = AMQPError(
                code: .channelClosed, message: error.message, replyCode: isCulprit || isNobody ? error.replyCode : nil,
                isRetriable: !isCulprit)
            finish([entry.publish.reply], .failure(outcome))
        }
    }

    /// Whether the channel or consumer has been open for 2 s; anything shorter-lived is left to the reconnect's back-off.
    private mutating func isLongOpen() -> Bool {
        let now = clock()
        defer { consumeChannelOpened = now }
        return now - consumeChannelOpened >= .seconds(2)
    }
}
