import Basics
import Synchronization

/// A subscription to a connection's events, until it is released.
///
/// At most `limit` events wait. Beyond that the oldest are dropped, which `.overflow` reports before the rest; libvirt's event
/// thread never waits for a subscriber. The last element is `.disconnected`.
package final class LibvirtEvents: AsyncSequence, Sendable {
    package typealias Element = LibvirtEvent
    package typealias Failure = Never

    private let buffer: EventBuffer
    private let hub: EventHub
    private let number: UInt64

    init(hub: EventHub, domainUUID: String?, limit: Int) {
        self.hub = hub
        buffer = EventBuffer(domainUUID: domainUUID, limit: limit)
        number = hub.subscribe(buffer)
    }

    /// Whether nothing has happened that has not been read.
    package var isSilent: Bool { buffer.isEmpty }

    deinit {
        hub.unsubscribe(number)
    }

    package func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(events: self)
    }

    package struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate let events: LibvirtEvents

        /// The next event; nil after `.disconnected` or when the task is cancelled.
        package mutating func next(isolation actor: isolated (any Actor)?) async -> LibvirtEvent? {
            await events.buffer.next()
        }
    }
}

/// The events waiting for one subscriber.
final class EventBuffer: Sendable {
    private struct State {
        var events: [LibvirtEvent] = []
        var dropped = 0
        var ending: CloseReason?
        var finished = false
        var waiters = Waiters<LibvirtEvent?>()

        /// Returns a waiter, already resumed if there is something to read.
        mutating func take() -> Waiter<LibvirtEvent?> {
            if dropped > 0 {
                defer { dropped = 0 }
                return Waiter(.overflow(dropped: dropped))
            }
            if !events.isEmpty { return Waiter(events.removeFirst()) }
            if finished { return Waiter(.some(nil)) }
            guard let ending else { return waiters.add() }
            finished = true
            return Waiter(.disconnected(ending))
        }
    }

    private let domainUUID: String?
    private let limit: Int
    private let state = Mutex(State())

    init(domainUUID: String?, limit: Int) {
        self.domainUUID = domainUUID?.lowercased()
        self.limit = Swift.max(1, limit)
    }

    var isEmpty: Bool { state.withLock { $0.events.isEmpty && $0.dropped == 0 && $0.ending == nil } }

    func wants(_ event: LibvirtEvent) -> Bool {
        guard let domainUUID, let uuid = event.domainUUID else { return true }
        return uuid == domainUUID
    }

    func push(_ event: LibvirtEvent) {
        state.withLock { state in
            // There is a waiter only while the buffer is empty.
            guard state.ending == nil, !state.waiters.resumeFirst(event) else { return }
            if state.events.count >= limit {
                state.events.removeFirst()
                state.dropped += 1
            }
            state.events.append(event)
        }
    }

    func finish(_ reason: CloseReason) {
        state.withLock { state in
            guard state.ending == nil else { return }
            state.ending = reason
            state.finished = state.waiters.resumeFirst(.disconnected(reason))
            state.waiters.resumeAll(nil)
        }
    }

    func next() async -> LibvirtEvent? {
        // A cancelled task takes nothing from the buffer.
        let waiter = state.withLock { Task.isCancelled ? Waiter(.some(nil)) : $0.take() }
        return await waiter.value(ifCancelled: nil)
    }
}
