import Synchronization

/// A subscription to a connection's events, kept until it is dropped.
///
/// At most `limit` events wait. When more come, the oldest go and `.overflow` tells so before the rest; libvirt's event thread
/// never waits for a subscriber. The last element is `.disconnected`.
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

    deinit {
        hub.unsubscribe(number)
    }

    package func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(events: self)
    }

    package struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate let events: LibvirtEvents

        /// The next event; nil after `.disconnected` or when the task is cancelled.
        package mutating func next() async -> LibvirtEvent? {
            await events.buffer.next()
        }

        package mutating func next(isolation actor: isolated (any Actor)?) async -> LibvirtEvent? {
            await events.buffer.next()
        }
    }
}

/// What waits for one subscriber.
final class EventBuffer: Sendable {
    private struct State {
        var events: [LibvirtEvent] = []
        var dropped = 0
        var ending: CloseReason?
        var finished = false
        var number: UInt64 = 0
        var waiters: [(number: UInt64, continuation: CheckedContinuation<LibvirtEvent?, Never>)] = []

        enum Taken {
            case element(LibvirtEvent?)
            case nothing
        }

        mutating func take() -> Taken {
            if dropped > 0 {
                defer { dropped = 0 }
                return .element(.overflow(dropped: dropped))
            }
            if !events.isEmpty { return .element(events.removeFirst()) }
            if finished { return .element(nil) }
            guard let ending else { return .nothing }
            finished = true
            return .element(.disconnected(ending))
        }
    }

    private let domainUUID: String?
    private let limit: Int
    private let state = Mutex(State())

    init(domainUUID: String?, limit: Int) {
        self.domainUUID = domainUUID?.lowercased()
        self.limit = Swift.max(1, limit)
    }

    func wants(_ event: LibvirtEvent) -> Bool {
        guard let domainUUID, let uuid = event.domainUUID else { return true }
        return uuid == domainUUID
    }

    func push(_ event: LibvirtEvent) {
        let waiter = state.withLock { state -> CheckedContinuation<LibvirtEvent?, Never>? in
            guard state.ending == nil else { return nil }
            // A waiter is there only while the buffer is empty.
            if !state.waiters.isEmpty { return state.waiters.removeFirst().continuation }
            if state.events.count >= limit {
                state.events.removeFirst()
                state.dropped += 1
            }
            state.events.append(event)
            return nil
        }
        waiter?.resume(returning: event)
    }

    func finish(_ reason: CloseReason) {
        let waiters = state.withLock { state in
            guard state.ending == nil else { return [CheckedContinuation<LibvirtEvent?, Never>]() }
            state.ending = reason
            state.finished = !state.waiters.isEmpty
            defer { state.waiters = [] }
            return state.waiters.map(\.continuation)
        }
        waiters.first?.resume(returning: .disconnected(reason))
        waiters.dropFirst().forEach { $0.resume(returning: nil) }
    }

    func next() async -> LibvirtEvent? {
        let number = state.withLock { state in
            state.number += 1
            return state.number
        }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { (continuation: CheckedContinuation<LibvirtEvent?, Never>) in
                let taken = state.withLock { state -> State.Taken in
                    if Task.isCancelled { return .element(nil) }
                    let taken = state.take()
                    if case .nothing = taken { state.waiters.append((number, continuation)) }
                    return taken
                }
                if case .element(let event) = taken { continuation.resume(returning: event) }
            }
        } onCancel: {
            let waiter = state.withLock { state -> CheckedContinuation<LibvirtEvent?, Never>? in
                guard let index = state.waiters.firstIndex(where: { $0.number == number }) else { return nil }
                return state.waiters.remove(at: index).continuation
            }
            waiter?.resume(returning: nil)
        }
    }
}
