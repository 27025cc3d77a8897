import AMQP
import JSON
package import OsloMessaging
import Synchronization

/// Replays into an RPC server in this process, which reads from ``transport``.
///
/// A `swap_volume` cast is delivered as a call, so that its outcome is seen too.
package final class InProcessTarget: ReplayTarget {
    private static let castQueue = "reply_replayed_cast"

    /// The transport that the server reads from.
    package let transport: InProcessTransport
    private let ledger: Ledger
    private let isSenderWaiting = Atomic(false)

    package init() {
        let ledger = Ledger()
        self.ledger = ledger
        transport = InProcessTransport(
            onPublish: { published throws(TransportError) in
                if let reply = published.reply, reply.isFinal { ledger.answered(reply, published.body) }
                return .confirmed
            },
            onSettle: { tag, settlement in ledger.settled(tag.value, settlement) })
    }

    package func send(_ message: ReplayMessage, completion: @escaping @Sendable (ReplayOutcome) -> Void) async {
        var inner: JSONObject?
        var delivery = Delivery(caller: nil, rejection: "no request", completion: completion)
        switch message.content {
        case .request(let request):
            inner = request.inner
            delivery.isSwap = request.method == "swap_volume"
            delivery.caller = request.replyAddress?.messageID
            if request.messageID == nil, request.method == "swap_volume" {
                let id = "cast \(message.number)"
                inner?["_msg_id"] = .string(id)
                inner?["_reply_q"] = .string(Self.castQueue)
                delivery.caller = id
            }
            if ledger.isRepeated(request.uniqueID ?? request.messageID) {
                delivery.caller = nil
                delivery.isDuplicate = true
            }
        case .unreadable(let reason, let address):
            delivery.rejection = reason
            delivery.caller = address?.messageID
        case .reply, .notification: break
        }
        ledger.expect(&delivery)
        let tag = deliver(message.line, inner)
        ledger.delivered(tag.value, delivery)
    }

    /// Passes a request on in decoded form, which saves encoding and decoding it again.
    private func deliver(_ line: CaptureLine, _ inner: JSONObject?) -> DeliveryTag {
        transport.deliver(
            inner == nil ? line.body.bytes : [], inner: inner, properties: line.properties, exchange: line.exchange,
            routingKey: line.routingKey, redelivered: line.redelivered)
    }

    package func senderWaits(_ isWaiting: Bool) { isSenderWaiting.store(isWaiting, ordering: .relaxed) }

    /// Whether the sender waits for swaps alone, all of which the server has accepted.
    package var waitsForSwaps: Bool { isSenderWaiting.load(ordering: .relaxed) && ledger.hasOnlySwaps }

    /// Gives up every answer that is still to come.
    package func giveUp(reason: String) { ledger.giveUp(reason) }

    package func finish() async { await transport.close() }
}

/// A message delivered, or about to be delivered, to the server.
private struct Delivery: Sendable {
    /// The call whose answer is the outcome; nil if the settlement is.
    var caller: String?
    var rejection: String
    var isDuplicate = false
    var isSwap = false
    let completion: @Sendable (ReplayOutcome) -> Void
}

/// Tracks the messages without an outcome.
private final class Ledger: Sendable {
    private struct State {
        var callers: [String: Delivery] = [:]
        var unsettled: [UInt64: Delivery] = [:]
        /// Settled before the transport returned the delivery's tag.
        var settledEarly: [UInt64: InProcessTransport.Settlement] = [:]
        /// Ids by which duplicates are recognised.
        var recent = RecentTexts(capacity: 8192)
    }

    private let state = Mutex(State())

    /// Whether a recent message had this id.
    func isRepeated(_ id: String?) -> Bool {
        guard let id else { return false }
        return state.withLock { !$0.recent.insert(id) }
    }

    /// Waits for a call's answer, or for the settlement of a second call with the same id, which gets no answer of its own.
    func expect(_ delivery: inout Delivery) {
        guard let caller = delivery.caller else { return }
        let expected = delivery
        let isFirst = state.withLock { state in
            if state.callers[caller] != nil { return false }
            state.callers[caller] = expected
            return true
        }
        if !isFirst {
            delivery.caller = nil
            delivery.isDuplicate = true
        }
    }

    func delivered(_ tag: UInt64, _ delivery: Delivery) {
        let settlement = state.withLock { state -> InProcessTransport.Settlement? in
            if let early = state.settledEarly.removeValue(forKey: tag) { return early }
            state.unsettled[tag] = delivery
            return nil
        }
        if let settlement { end(delivery, settlement) }
    }

    func settled(_ tag: UInt64, _ settlement: InProcessTransport.Settlement) {
        let delivery = state.withLock { state -> Delivery? in
            if let delivery = state.unsettled.removeValue(forKey: tag) { return delivery }
            state.settledEarly[tag] = settlement
            return nil
        }
        if let delivery { end(delivery, settlement) }
    }

    func answered(_ reply: RPCReply, _ body: [UInt8]) {
        state.withLock { $0.callers.removeValue(forKey: reply.messageID) }?.completion(.reply(reply.content, body: body))
    }

    /// Whether answers are to come, all of accepted swaps.
    var hasOnlySwaps: Bool {
        state.withLock { $0.unsettled.isEmpty && !$0.callers.isEmpty && $0.callers.values.allSatisfy(\.isSwap) }
    }

    func giveUp(_ reason: String) {
        let lost = state.withLock { state in
            defer { state.callers = [:] }
            return state.callers.values
        }
        for delivery in lost { delivery.completion(.lost(reason: reason)) }
    }

    private func end(_ delivery: Delivery, _ settlement: InProcessTransport.Settlement) {
        if let caller = delivery.caller {
            guard settlement == .requeued else { return }
            state.withLock { $0.callers.removeValue(forKey: caller) }?
                .completion(.lost(reason: "the worker requeued it"))
            return
        }
        switch settlement {
        case .acknowledged: delivery.completion(delivery.isDuplicate ? .duplicate : .accepted)
        case .rejected: delivery.completion(.rejected(reason: delivery.rejection))
        case .requeued: delivery.completion(.lost(reason: "the worker requeued it"))
        }
    }
}
