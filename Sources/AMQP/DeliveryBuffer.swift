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
        var waiters: Deque<(id: UInt64, continuation: CheckedContinuation<AMQPDelivery?, Never>)> = []
        var nextID: UInt64 = 0
        var isFinished = false
    }

    private let state = Mutex(State())
    private let acknowledge: @Sendable (DeliveryTag) -> Void

    /// - Parameter acknowledge: called when a delivery of a `noAck` consumer is handed over.
    init(acknowledge: @escaping @Sendable (DeliveryTag) -> Void) { self.acknowledge = acknowledge }

    func yield(_ delivery: AMQPDelivery, acknowledgesItself: Bool) {
        let waiter = state.withLock { state -> CheckedContinuation<AMQPDelivery?, Never>? in
            if let waiter = state.waiters.popFirst() { return waiter.continuation }
            state.items.append(Item(delivery: delivery, acknowledgesItself: acknowledgesItself))
            return nil
        }
        guard let waiter else { return }
        if acknowledgesItself { acknowledge(delivery.tag) }
        waiter.resume(returning: delivery)
    }

    func next() async -> AMQPDelivery? {
        switch take() {
        case .item(let item): return handOver(item)
        case .finished: return nil
        case .empty: break
        }
        let id = state.withLock { state in
            state.nextID += 1
            return state.nextID
        }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                enqueue(continuation, id: id)
            }
        } onCancel: {
            let waiter = state.withLock { state in
                state.waiters.firstIndex { $0.id == id }.map { state.waiters.remove(at: $0) }
            }
            waiter?.continuation.resume(returning: nil)
        }
    }

    /// Drops what the broker will redeliver: deliveries that wait for an acknowledgement, once their epoch is gone.
    func removeStale() {
        state.withLock { $0.items.removeAll { !$0.acknowledgesItself } }
    }

    func finish() {
        let waiters = state.withLock { state in
            state.isFinished = true
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.continuation.resume(returning: nil) }
    }

    private enum Taken {
        case item(Item)
        case empty
        case finished
    }

    private func take() -> Taken {
        state.withLock { state in
            if let item = state.items.popFirst() { return .item(item) }
            return state.isFinished ? .finished : .empty
        }
    }

    private func handOver(_ item: Item) -> AMQPDelivery {
        if item.acknowledgesItself { acknowledge(item.delivery.tag) }
        return item.delivery
    }

    /// A cancellation before this is seen by `Task.isCancelled`, one after it finds the waiter: both under the same lock.
    private func enqueue(_ continuation: CheckedContinuation<AMQPDelivery?, Never>, id: UInt64) {
        let outcome = state.withLock { state -> Taken? in
            if let item = state.items.popFirst() { return .item(item) }
            if state.isFinished || Task.isCancelled { return .finished }
            state.waiters.append((id, continuation))
            return nil
        }
        switch outcome {
        case .item(let item): continuation.resume(returning: handOver(item))
        case .finished, .empty: continuation.resume(returning: nil)
        case nil: break
        }
    }
}
