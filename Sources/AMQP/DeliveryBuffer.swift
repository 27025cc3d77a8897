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
    private struct State {
        var deliveries: Deque<AMQPDelivery> = []
        /// There only while no deliveries are.
        var readers = Waiters<AMQPDelivery?>()
        var isFinished = false
    }

    private let state = Mutex(State())

    func yield(_ delivery: AMQPDelivery) {
        state.withLock { state in
            if !state.readers.resumeFirst(delivery) { state.deliveries.append(delivery) }
        }
    }

    /// The next delivery; nil at the end, or when the task is cancelled.
    func next() async -> AMQPDelivery? {
        let reader = state.withLock { state -> Waiter<AMQPDelivery?> in
            if let delivery = state.deliveries.popFirst() { return Waiter(delivery) }
            return state.isFinished ? Waiter(.some(nil)) : state.readers.add()
        }
        return await reader.value(ifCancelled: nil)
    }

    /// Drops what the broker will redeliver, once its epoch is gone.
    func removeAll() { state.withLock { $0.deliveries = [] } }

    func finish() {
        state.withLock { state in
            state.isFinished = true
            state.readers.resumeAll(nil)
        }
    }
}
