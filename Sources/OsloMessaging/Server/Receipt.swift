import AMQP
import Synchronization

/// What is needed of a request to settle and answer it: little, since nothing limits how many replies wait for the broker.
struct Receipt: Sendable {
    let tag: DeliveryTag
    /// For the log.
    let method: String
    /// Nil for a cast.
    let address: ReplyAddress?
    /// The reply's `_unique_id`. Derived, not random: a request that is delivered again is answered with the same id, and its
    /// caller drops the second.
    let replyID: String
    let heartbeats: HeartbeatToken?

    init(_ entry: Backlog.Entry, _ request: RPCRequest) {
        tag = entry.message.tag
        method = Echo.cut(request.method)
        address = request.replyAddress
        replyID = request.replyAddress.map { UniqueID.derived(from: "reply \($0.messageID) \(request.uniqueID ?? "")") } ?? ""
        heartbeats = entry.heartbeats
    }
}

/// A request in the endpoint's hands.
struct Work: Sendable {
    /// To be put back if it cannot be stored.
    let entry: Backlog.Entry
    let isStored: Bool
    let carryOut: @Sendable () async -> RPCDisposition
}

/// Holds a value until it is taken: what a task's closure has captured would otherwise live as long as the task.
final class Held<Value: Sendable>: Sendable {
    private let value: Mutex<Value?>

    init(_ value: Value) { self.value = Mutex(value) }

    /// Nil if it has been taken.
    func take() -> Value? {
        value.withLock { value in
            defer { value = nil }
            return value
        }
    }
}
