import Synchronization

/// Fans a connection's events out to its subscribers, and says once that the connection ended.
final class EventHub: Sendable {
    private struct State {
        var buffers: [UInt64: EventBuffer] = [:]
        var waiters: [UInt64: CheckedContinuation<CloseReason?, Never>] = [:]
        var closed: CloseReason?
        var next: UInt64 = 0

        mutating func number() -> UInt64 {
            next += 1
            return next
        }
    }

    private let state = Mutex(State())

    var closeReason: CloseReason? { state.withLock(\.closed) }

    /// Hands an event to the subscribers that want it; called on libvirt's event thread, so it never waits.
    func publish(_ event: LibvirtEvent) {
        let buffers = state.withLock { Array($0.buffers.values) }
        for buffer in buffers where buffer.wants(event) {
            buffer.push(event)
        }
    }

    /// Ends the connection for all who listen; the first reason counts.
    func close(_ reason: CloseReason) {
        let (buffers, waiters) = state.withLock { state in
            guard state.closed == nil else { return ([EventBuffer](), [CheckedContinuation<CloseReason?, Never>]()) }
            state.closed = reason
            defer {
                state.buffers = [:]
                state.waiters = [:]
            }
            return (Array(state.buffers.values), Array(state.waiters.values))
        }
        buffers.forEach { $0.finish(reason) }
        waiters.forEach { $0.resume(returning: reason) }
    }

    /// Adds a subscriber; one that comes after the end hears of the end at once.
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

    /// The reason of the end, once there is one; nil when the waiting task was cancelled.
    func waitUntilClosed() async -> CloseReason? {
        let number = state.withLock { $0.number() }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { (continuation: CheckedContinuation<CloseReason?, Never>) in
                let (done, reason) = state.withLock { state -> (Bool, CloseReason?) in
                    if let closed = state.closed { return (true, closed) }
                    if Task.isCancelled { return (true, nil) }
                    state.waiters[number] = continuation
                    return (false, nil)
                }
                if done { continuation.resume(returning: reason) }
            }
        } onCancel: {
            state.withLock { $0.waiters.removeValue(forKey: number) }?.resume(returning: nil)
        }
    }
}
