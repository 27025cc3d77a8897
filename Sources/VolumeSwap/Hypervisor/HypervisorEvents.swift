import DequeModule
import Synchronization

/// The mailbox of one swap: its domain's events, bounded. What does not fit turns into a ``HypervisorEvent/look``.
///
/// One task at a time reads it. Unlike an `AsyncStream` it goes on when a task that waits for it is cancelled: the next one reads on.
package final class HypervisorEvents: Sendable, AsyncSequence {
    private struct State {
        var waiting: Deque<HypervisorEvent> = []
        var reader: CheckedContinuation<HypervisorEvent?, Never>?
        var isClosed = false
        var isTaken = false
        var onClose: (@Sendable () -> Void)?
    }

    private let capacity: Int
    private let state = Mutex(State())

    package init(capacity: Int = 64) { self.capacity = capacity }

    /// Never blocks; may be called from libvirt's event thread.
    package func post(_ event: HypervisorEvent) {
        let reader = state.withLock { state -> CheckedContinuation<HypervisorEvent?, Never>? in
            if state.isClosed { return nil }
            if let reader = state.reader {
                state.reader = nil
                return reader
            }
            state.waiting.append(event)
            if state.waiting.count > capacity {
                // The newest are kept, so a `look` put in after a loss is always read.
                state.waiting.removeFirst(2)
                state.waiting.append(.recheck)
            }
            return nil
        }
        reader?.resume(returning: event)
    }

    /// The next event; nil once the mailbox is closed, or the task that waits is cancelled.
    package func next() async -> HypervisorEvent? {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let answer = state.withLock { state -> HypervisorEvent?? in
                    if Task.isCancelled { return .some(nil) }
                    if let event = state.waiting.popFirst() { return event }
                    if state.isClosed { return .some(nil) }
                    state.reader = continuation
                    return nil
                }
                if let answer { continuation.resume(returning: answer) }
            }
        } onCancel: {
            takeReader()?.resume(returning: nil)
        }
    }

    private func takeReader() -> CheckedContinuation<HypervisorEvent?, Never>? {
        state.withLock { state in
            defer { state.reader = nil }
            return state.reader
        }
    }

    /// True for the first caller: the one that subscribes.
    package func take() -> Bool {
        state.withLock { state in
            defer { state.isTaken = true }
            return !state.isTaken
        }
    }

    /// What ends the subscription behind this mailbox.
    package func onClose(_ body: @escaping @Sendable () -> Void) { state.withLock { $0.onClose = body } }

    package func close() {
        let (reader, onClose) = state.withLock { state in
            defer { (state.isClosed, state.reader, state.onClose) = (true, nil, nil) }
            return (state.reader, state.onClose)
        }
        reader?.resume(returning: nil)
        onClose?()
    }

    package struct Iterator: AsyncIteratorProtocol {
        fileprivate let events: HypervisorEvents

        package func next() async -> HypervisorEvent? { await events.next() }
    }

    package func makeAsyncIterator() -> Iterator { Iterator(events: self) }
}
