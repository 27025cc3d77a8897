import AMQP
import JSON
import OsloMessaging
import Synchronization
import VolumeSwap

/// A transport that learns which task a `swap_volume` request becomes: its `request_token`, or what derives from its `_unique_id`.
final class RequestObserver: Transport {
    private let base: AMQPTransport
    private let task = Mutex<TaskID?>(nil)

    init(_ base: AMQPTransport) {
        self.base = base
    }

    /// The task of the last swap that the broker has accepted; nil until then.
    var taskID: TaskID? { task.withLock { $0 } }

    func publish(
        _ body: [UInt8], properties: AMQPProperties, exchange: String, routingKey: String, mandatory: Bool
    ) async throws(TransportError) -> PublishOutcome {
        let inner = (try? MessageEnvelope.unwrap(body)) ?? [:]
        let outcome = try await base.publish(
            body, properties: properties, exchange: exchange, routingKey: routingKey, mandatory: mandatory)
        if outcome == .confirmed, inner["method"] == "swap_volume" {
            let token = try? SwapRequest.token(inner["args"]?.objectValue ?? [:])
            let id =
                (token ?? nil) ?? TaskID(uniqueID: inner["_unique_id"]?.stringValue, messageID: inner["_msg_id"]?.stringValue)
            task.withLock { $0 = id }
        }
        return outcome
    }

    func waitUntilPublishable() async throws(TransportError) { try await base.waitUntilPublishable() }
    var inbound: AMQPTransport.Inbound { base.inbound }
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
