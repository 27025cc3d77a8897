internal import Basics
internal import DequeModule
internal import Synchronization

/// The deliveries of a connection, for one reader; ends when the connection's run() returns.
///
/// The buffer is bounded because each consumer's prefetch is: nothing more comes until what is in here is acknowledged.
package struct AMQPDeliveries: AsyncSequence, Sendable {
    package typealias Element = AMQPDelivery
    package typealias Failure = Never

    let buffer: DeliveryBuffer

    package struct AsyncIterator: AsyncIteratorProtocol {
        let buffer: DeliveryBuffer

        package mutating func next() async -> AMQPDelivery? { await buffer.next() }

        package mutating func next(isolation actor: isolated (any Actor)?) async -> AMQPDelivery? { await buffer.next() }
    }

    package func makeAsyncIterator() -> AsyncIterator { AsyncIterator(buffer: buffer) }
}

/// Hands deliveries from the IO thread to the reader.
final class DeliveryBuffer: Sendable {
    private struct Item {
        let delivery: AMQPDelivery
        let acknowledgesItself: Bool
    }

    private struct State {
        var items: Deque<Item> = []
        /// There only while no items are.
        var readers = Waiters<Item?>()
        var isFinished = false
    }

    private let state = Mutex(State())
    private let acknowledge: @Sendable (DeliveryTag) -> Void

    /// - Parameter acknowledge: called when a delivery of a `noAck` consumer is handed over.
    init(acknowledge: @escaping @Sendable (DeliveryTag) -> Void) { self.acknowledge = acknowledge }

    func yield(_ delivery: AMQPDelivery, acknowledgesItself: Bool) {
        let item = Item(delivery: delivery, acknowledgesItself: acknowledgesItself)
        state.withLock { state in
            if !state.readers.resumeFirst(item) { state.items.append(item) }
        }
    }

    /// The next delivery; nil at the end, or when the task is cancelled.
    func next() async -> AMQPDelivery? {
        let reader = state.withLock { state -> Waiter<Item?> in
            if let item = state.items.popFirst() { return Waiter(item) }
            return state.isFinished ? Waiter(.some(nil)) : state.readers.add()
        }
        guard let item = await reader.value(ifCancelled: nil) else { return nil }
        if item.acknowledgesItself { acknowledge(item.delivery.tag) }
        return item.delivery
    }

    /// Drops what the broker will redeliver: deliveries that wait for an acknowledgement, once their epoch is gone.
    func removeStale() {
        state.withLock { $0.items.removeAll { !$0.acknowledgesItself } }
    }

    func finish() {
        state.withLock { state in
            state.isFinished = true
            state.readers.resumeAll(nil)
        }
    }
}
