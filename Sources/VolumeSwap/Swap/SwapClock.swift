package import Foundation

/// The time as swaps see it; a simulation has one of its own.
package protocol SwapClock: Sendable {
    /// Monotonic.
    var now: ContinuousClock.Instant { get }
    /// The wall clock, which may step: for what is written down, never to measure by.
    var date: Date { get }
    /// - Throws: `CancellationError` when the task is cancelled.
    func sleep(for duration: Duration) async throws
    /// Carries `action` out once the time is over, unless what is returned was cancelled before. Never blocks.
    func schedule(after duration: Duration, _ action: @escaping @Sendable () -> Void) -> ScheduledAction
}

extension SwapClock {
    /// Posts an event later, unless the mailbox is closed by then.
    func post(_ event: HypervisorEvent, to events: HypervisorEvents, after pause: Duration) {
        _ = schedule(after: pause) { [weak events] in events?.post(event) }
    }
}

/// What ends a ``SwapClock/schedule(after:_:)`` early.
package struct ScheduledAction: Sendable {
    private let onCancel: @Sendable () -> Void

    package init(onCancel: @escaping @Sendable () -> Void) { self.onCancel = onCancel }

    package func cancel() { onCancel() }
}

/// The machine's own monotonic clock.
package struct SystemClock: SwapClock {
    package init() {}

    package var now: ContinuousClock.Instant { .now }
    package var date: Date { .now }

    package func sleep(for duration: Duration) async throws { try await Task.sleep(for: duration) }

    package func schedule(after duration: Duration, _ action: @escaping @Sendable () -> Void) -> ScheduledAction {
        let task = Task {
            if (try? await Task.sleep(for: duration)) != nil { action() }
        }
        return ScheduledAction { task.cancel() }
    }
}
