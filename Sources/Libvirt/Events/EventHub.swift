import Basics
import Synchronization

/// Distributes a connection's events to its subscribers, and reports the connection's end once.
final class EventHub: Sendable {
    private struct State {
        var buffers: [UInt64: EventBuffer] = [:]
        var waiters: [UInt64: @Sendable (CloseReason) -> Void] = [:]
        var closed: CloseReason?
        var next: UInt64 = 0

        mutating func number() -> UInt64 {
            next += 1
            return next
        }
    }

    private let state = Mutex(State())

    var closeReason: CloseReason? { state.withLock(\.closed) }

    /// Passes an event to the subscribers that want it. Never waits, since it runs on libvirt's event thread.
    func publish(_ event: LibvirtEvent) {
        let buffers = state.withLock { Array($0.buffers.values) }
        for buffer in buffers where buffer.wants(event) {
            buffer.push(event)
        }
    }

    /// Reports the end of the connection to all; the first reason wins.
    func close(_ reason: CloseReason) {
        let (buffers, waiters) = state.withLock { state in
            guard state.closed == nil else { return ([EventBuffer](), [@Sendable (CloseReason) -> Void]()) }
            state.closed = reason
            defer {
                state.buffers = [:]
                state.waiters = [:]
            }
            return (Array(state.buffers.values), Array(state.waiters.values))
        }
        buffers.forEach { $0.finish(reason) }
        waiters.forEach { $0(reason) }
    }

    /// Adds a subscriber; if the connection has ended, it is told at once.
    func subscribe(_ buffer: EventBuffer) -> UInt64 {
        let (number, closed) = state.withLock { state in
            let number = state.number()
            if state.closed == nil { state.buffers[number] = buffer }
            return (number, state.closed)
        }
        if let closed { buffer.finish(closed) }
        return number
    }

    func unsubscribe(_ number: UInt64) {
        state.withLock { _ = $0.buffers.removeValue(forKey: number) }
    }

    /// Calls the handler once with the reason when the connection ends, or at once if it has; ``forget(_:)`` removes it.
    func whenClosed(_ handler: @escaping @Sendable (CloseReason) -> Void) -> UInt64 {
        let (number, closed) = state.withLock { state in
            let number = state.number()
            if state.closed == nil { state.waiters[number] = handler }
            return (number, state.closed)
        }
        if let closed { handler(closed) }
        return number
    }

    func forget(_ number: UInt64) {
        state.withLock { _ = $0.waiters.removeValue(forKey: number) }
    }

    /// Waits for the end of the connection; nil if the waiting task is cancelled.
    func waitUntilClosed() async -> CloseReason? {
        let waiter = Waiter<CloseReason?>()
        let number = whenClosed { waiter.resume($0) }
        defer { forget(number) }
        return await waiter.value(ifCancelled: nil)
    }
}
