import Basics
import DequeModule
import Synchronization

/// The bounded mailbox for one swap's events. Events that do not fit become one ``HypervisorEvent/recheck``.
///
/// One task reads it at a time. Unlike an `AsyncStream`, it survives the cancellation of its reader: the next reader continues.
package final class HypervisorEvents: Sendable, AsyncSequence {
    private struct State {
        var waiting: Deque<HypervisorEvent> = []
        var reader: Waiter<HypervisorEvent?>?
        var isClosed = false
        var isTaken = false
        var hasMigrated = false
        var onClose: (@Sendable () -> Void)?
    }

    private let capacity: Int
    private let state = Mutex(State())

    /// - Parameter capacity: the maximum number of unread events.
    package init(capacity: Int = 64) { self.capacity = capacity }

    /// Delivers an event, or drops it once the mailbox is closed. Never blocks; may be called on libvirt's event thread.
    package func post(_ event: HypervisorEvent) {
        state.withLock { state in
            if state.isClosed { return }
            if event == .stopped(reason: HypervisorEvent.migratedAway) { state.hasMigrated = true }
            if let reader = state.reader {
                state.reader = nil
                if reader.resume(event) { return }
            }
            state.waiting.append(event)
            if state.waiting.count > capacity {
                // The newest events are kept, so a `recheck` added after a loss is always read.
                state.waiting.removeFirst(2)
                state.waiting.append(.recheck)
            }
        }
    }

    /// Whether the guest was reported to have migrated to another host, whether or not that event was read.
    var hasMigrated: Bool { state.withLock { $0.hasMigrated } }

    /// The next event; nil once the mailbox is closed or the waiting task is cancelled.
    package func next() async -> HypervisorEvent? {
        if Task.isCancelled { return nil }
        let reader = state.withLock { state -> Waiter<HypervisorEvent?> in
            if let event = state.waiting.popFirst() { return Waiter(event) }
            if state.isClosed { return Waiter(.some(nil)) }
            let reader = Waiter<HypervisorEvent?>()
            state.reader = reader
            return reader
        }
        return await reader.value(ifCancelled: nil)
    }

    /// True for the first caller, which is the one that subscribes.
    package func take() -> Bool {
        state.withLock { state in
            defer { state.isTaken = true }
            return !state.isTaken
        }
    }

    /// Sets the handler that ends the subscription behind this mailbox.
    package func onClose(_ body: @escaping @Sendable () -> Void) { state.withLock { $0.onClose = body } }

    /// Closes the mailbox and ends the subscription. Events that are already queued can still be read.
    package func close() {
        let (reader, onClose) = state.withLock { state in
            defer { (state.isClosed, state.reader, state.onClose) = (true, nil, nil) }
            return (state.reader, state.onClose)
        }
        reader?.resume(nil)
        onClose?()
    }

    package struct Iterator: AsyncIteratorProtocol {
        fileprivate let events: HypervisorEvents

        package func next() async -> HypervisorEvent? { await events.next() }
    }

    package func makeAsyncIterator() -> Iterator { Iterator(events: self) }
}
