internal import CRabbitMQ

/// A frame from the broker, copied out of librabbitmq's memory.
enum IncomingFrame {
    struct Deliver {
        let consumerTag: String
        let deliveryTag: UInt64
        let redelivered: Bool
        let exchange: String
        let routingKey: String
    }

    struct Return {
        let replyCode: Int
        let replyText: String
        let exchange: String
        let routingKey: String
    }

    case acknowledged(UInt64, multiple: Bool)
    case notAcknowledged(UInt64, multiple: Bool)
    case delivered(AMQPMessage, Deliver)
    case returned(AMQPMessage, Return)
    /// A delivery whose content was read and discarded, but for the body's end and the headers that could be read.
    case refused(Deliver, reason: String, AMQPMessage)
    case consumerCancelled(tag: String, needsAnswer: Bool)
    /// The answer to our own basic.cancel.
    case consumerEnded(tag: String)
    /// The answer to our own question: the queue can be reached.
    case queueFound(UInt16)
    case channelClosed(UInt16, AMQPError)
    case flow(UInt16, active: Int32)
    case connectionClosed(AMQPError)
    case blocked(reason: String)
    case unblocked
    /// A part of some content, or an answer nobody waits for any more.
    case nothing
}

/// Reads frames and assembles content, with one assembler per channel that receives any.
struct FrameReader {
    private var deliveries: ContentAssembler<IncomingFrame.Deliver>
    private var returns: ContentAssembler<IncomingFrame.Return>
    private let bodyLimit: Int
    private let tailLimit: Int

    init(bodyLimit: Int, tailLimit: Int) {
        self.bodyLimit = bodyLimit
        self.tailLimit = tailLimit
        deliveries = ContentAssembler(bodyLimit: bodyLimit, tailLimit: tailLimit)
        returns = ContentAssembler(bodyLimit: .max)
    }

    /// The delivery whose header comes next, or could not be read: librabbitmq 0.14 and later gives up on headers that are nested more than
    /// 100 levels deep, and cannot read on.
    var awaitsHeader: IncomingFrame.Deliver? { deliveries.awaitsHeader }

    /// Discards a closed channel's half-read content.
    mutating func reset(_ channel: UInt16) {
        if channel == Session.Channel.consume { deliveries = ContentAssembler(bodyLimit: bodyLimit, tailLimit: tailLimit) }
        if channel == Session.Channel.publish { returns = ContentAssembler(bodyLimit: .max) }
    }

    /// The next frame, if one is available now. This is also the only place where librabbitmq handles heartbeats.
    ///
    /// - Throws: The ``AMQPError`` that ends the connection.
    mutating func next(_ session: Session) throws(AMQPError) -> IncomingFrame? {
        var frame = unsafe amqp_frame_t()
        var immediately = timeval()
        let status = unsafe amqp_simple_wait_frame_noblock(session.state, &frame, &immediately)
        if status == AMQP_STATUS_TIMEOUT.rawValue { return nil }
        try session.check(status: status)
        defer { unsafe amqp_maybe_release_buffers_on_channel(session.state, frame.channel) }
        let channel = unsafe frame.channel
        switch unsafe Int32(frame.frame_type) {
        case AMQP_FRAME_METHOD:
            return unsafe try method(frame.payload.method, channel: channel, session)
        case AMQP_FRAME_HEADER:
            let size = unsafe frame.payload.properties.body_size
            let decoded = unsafe frame.payload.properties.decoded?.assumingMemoryBound(to: amqp_basic_properties_t.self).pointee
            let properties = unsafe decoded.flatMap { unsafe AMQPProperties($0) }
            guard channel == Session.Channel.consume else {
                return frameOf(try returns.header(bodySize: size, properties: properties))
            }
            var remnant = AMQPProperties()
            if properties == nil, let decoded = unsafe decoded { remnant.headers = unsafe AMQPValue.decodeFlat(decoded.headers) }
            return frameOf(try deliveries.header(bodySize: size, properties: properties, remnant: remnant))
        case AMQP_FRAME_BODY:
            let fragment = unsafe frame.payload.body_fragment
            let bytes = unsafe UnsafeRawBufferPointer(start: fragment.bytes, count: fragment.len)
            return channel == Session.Channel.consume
                ? frameOf(unsafe try deliveries.body(bytes)) : frameOf(unsafe try returns.body(bytes))
        default:
            return .nothing
        }
    }

    private func frameOf(_ outcome: ContentAssembler<IncomingFrame.Deliver>.Outcome) -> IncomingFrame {
        switch outcome {
        case .incomplete: .nothing
        case .complete(let deliver, let message): .delivered(message, deliver)
        case .refused(let deliver, let reason, let message): .refused(deliver, reason: reason, message)
        }
    }

    private func frameOf(_ outcome: ContentAssembler<IncomingFrame.Return>.Outcome) -> IncomingFrame {
        switch outcome {
        case .complete(let returned, let message): .returned(message, returned)
        case .incomplete, .refused: .nothing
        }
    }

    private mutating func method(_ method: amqp_method_t, channel: UInt16, _ session: Session) throws(AMQPError) -> IncomingFrame
    {
        guard let decoded = unsafe method.decoded else { return .nothing }
        switch unsafe method.id {
        case AMQP_BASIC_DELIVER_METHOD:
            let deliver = unsafe decoded.assumingMemoryBound(to: amqp_basic_deliver_t.self).pointee
            try deliveries.begin(
                unsafe .init(
                    consumerTag: String(deliver.consumer_tag), deliveryTag: deliver.delivery_tag,
                    redelivered: deliver.redelivered != 0, exchange: String(deliver.exchange),
                    routingKey: String(deliver.routing_key)))
            return .nothing
        case AMQP_BASIC_RETURN_METHOD:
            let returned = unsafe decoded.assumingMemoryBound(to: amqp_basic_return_t.self).pointee
            try returns.begin(
                unsafe .init(
                    replyCode: Int(returned.reply_code), replyText: String(returned.reply_text),
                    exchange: String(returned.exchange), routingKey: String(returned.routing_key)))
            return .nothing
        case AMQP_BASIC_ACK_METHOD:
            let ack = unsafe decoded.assumingMemoryBound(to: amqp_basic_ack_t.self).pointee
            return .acknowledged(ack.delivery_tag, multiple: ack.multiple != 0)
        case AMQP_BASIC_NACK_METHOD:
            let nack = unsafe decoded.assumingMemoryBound(to: amqp_basic_nack_t.self).pointee
            return .notAcknowledged(nack.delivery_tag, multiple: nack.multiple != 0)
        case AMQP_BASIC_CANCEL_METHOD:
            let cancel = unsafe decoded.assumingMemoryBound(to: amqp_basic_cancel_t.self).pointee
            return unsafe .consumerCancelled(tag: String(cancel.consumer_tag), needsAnswer: cancel.nowait == 0)
        case AMQP_BASIC_CANCEL_OK_METHOD:
            let answer = unsafe decoded.assumingMemoryBound(to: amqp_basic_cancel_ok_t.self).pointee
            return unsafe .consumerEnded(tag: String(answer.consumer_tag))
        case AMQP_QUEUE_DECLARE_OK_METHOD where channel >= Session.Channel.questions: return .queueFound(channel)
        case AMQP_CHANNEL_CLOSE_METHOD:
            return unsafe .channelClosed(channel, session.closeError(method))
        case AMQP_CHANNEL_FLOW_METHOD:
            let flow = unsafe decoded.assumingMemoryBound(to: amqp_channel_flow_t.self).pointee
            return .flow(channel, active: flow.active)
        case AMQP_CONNECTION_CLOSE_METHOD:
            return unsafe .connectionClosed(session.closeError(method))
        case AMQP_CONNECTION_BLOCKED_METHOD:
            let blocked = unsafe decoded.assumingMemoryBound(to: amqp_connection_blocked_t.self).pointee
            return unsafe .blocked(reason: String(blocked.reason))
        case AMQP_CONNECTION_UNBLOCKED_METHOD: return .unblocked
        default: return .nothing
        }
    }
}
