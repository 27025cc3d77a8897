internal import Basics
internal import DequeModule
internal import Synchronization

/// A connection's deliveries, for a single reader; ends when the connection's run() returns.
///
/// The buffer is bounded by the consumers' prefetch: the broker sends no more until what is buffered is acknowledged.
package final class AMQPDeliveries: AsyncSequence, Sendable {
    package typealias Element = AMQPDelivery
    package typealias Failure = Never

    /// Returns nil when the task is cancelled, and at the end.
    package struct AsyncIterator: AsyncIteratorProtocol {
        let deliveries: AMQPDeliveries

        package mutating func next(isolation actor: isolated (any Actor)?) async -> AMQPDelivery? { await deliveries.next() }
    }

    package func makeAsyncIterator() -> AsyncIterator { AsyncIterator(deliveries: self) }

    private struct State {
        var deliveries: Deque<AMQPDelivery> = []
        /// Non-empty only while `deliveries` is empty.
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

    /// Drops everything: the epoch has ended, and the broker will redeliver it.
    func removeAll() { state.withLock { $0.deliveries = [] } }

    func finish() {
        state.withLock { state in
            state.isFinished = true
            state.readers.resumeAll(nil)
        }
    }
}
