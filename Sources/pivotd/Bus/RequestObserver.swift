import AMQP
import JSON
import OsloMessaging
import Synchronization
import VolumeSwap

/// A swap that was sent, or may have been.
struct SentSwap: Sendable, Hashable {
    let task: TaskID
    /// Whether the broker has confirmed the request. Until then it may have it, and the worker carry it out, or not.
    var isConfirmed = false
}

/// A transport that learns which task a `swap_volume` request becomes: its `request_token`, or what derives from its `_unique_id`.
final class RequestObserver<Base: Transport>: Transport {
    private let base: Base
    private let state = Mutex<SentSwap?>(nil)

    init(_ base: Base) {
        self.base = base
    }

    /// The last swap that the broker has or may have; nil if it has none.
    var sent: SentSwap? { state.withLock { $0 } }

    func publish(
        _ body: [UInt8], properties: AMQPProperties, exchange: String, routingKey: String, mandatory: Bool
    ) async throws(TransportError) -> PublishOutcome {
        guard let task = Self.task(body) else {
            return try await base.publish(
                body, properties: properties, exchange: exchange, routingKey: routingKey, mandatory: mandatory)
        }
        // Before it is written: the confirm may be late, and the swap under way meanwhile.
        let earlier = state.withLock { state -> SentSwap? in
            defer { state = SentSwap(task: task) }
            return state
        }
        do throws(TransportError) {
            let outcome = try await base.publish(
                body, properties: properties, exchange: exchange, routingKey: routingKey, mandatory: mandatory)
            state.withLock { $0 = outcome == .confirmed ? SentSwap(task: task, isConfirmed: true) : earlier }
            return outcome
        } catch {
            if Self.isRefusal(error) { state.withLock { $0 = earlier } }
            throw error
        }
    }

    /// The task that a request becomes; nil if it is not a swap.
    private static func task(_ body: [UInt8]) -> TaskID? {
        guard let inner = try? MessageEnvelope.unwrap(body), inner["method"] == "swap_volume" else { return nil }
        if let token = try? SwapRequest.token(inner["args"]?.objectValue ?? [:]) { return token }
        return TaskID(uniqueID: inner["_unique_id"]?.stringValue, messageID: inner["_msg_id"]?.stringValue)
    }

    /// Whether the message is certainly in no queue: it cannot be sent, or the broker has refused just this one. After any other
    /// error it may be.
    private static func isRefusal(_ error: TransportError) -> Bool {
        switch error.code {
        case .invalid, .forbidden, .tooLarge: true
        case .refused: !error.isRetriable
        case .disconnected, .lost, .suspected, .closed, .cancelled: false
        }
    }

    func waitUntilPublishable() async throws(TransportError) { try await base.waitUntilPublishable() }
    var inbound: Base.Inbound { base.inbound }
    var isReady: Bool { base.isReady }
    var keepsMessages: Bool { base.keepsMessages }
    func run() async throws { try await base.run() }
    func startConsuming() async throws(TransportError) { try await base.startConsuming() }
    func stopConsuming() async { await base.stopConsuming() }
    func acknowledge(_ tag: DeliveryTag) async { await base.acknowledge(tag) }
    func awaitsSettlement(_ tag: DeliveryTag) -> Bool { base.awaitsSettlement(tag) }
    func reject(_ tag: DeliveryTag) async { await base.reject(tag) }
    func requeue(_ tag: DeliveryTag) async { await base.requeue(tag) }
    func close() async { await base.close() }
}
