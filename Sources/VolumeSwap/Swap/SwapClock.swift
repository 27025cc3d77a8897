internal import Basics
package import Foundation

/// The clock that swaps use; tests and the simulation have their own.
package protocol SwapClock: Sendable {
    /// The monotonic time, for measuring.
    var now: ContinuousClock.Instant { get }
    /// The wall clock, which may step: for records, never for measuring.
    var date: Date { get }
    /// Suspends for a duration.
    ///
    /// - Throws: `CancellationError` if the task is cancelled.
    func sleep(for duration: Duration) async throws
    /// Runs `action` after a duration unless the returned handle is cancelled first. Never blocks.
    func schedule(after duration: Duration, _ action: @escaping @Sendable () -> Void) -> ScheduledAction
}

extension SwapClock {
    /// Does something within a limit; after it the work is cancelled, and must return soon then.
    ///
    /// - Parameter late: the result if it was not done in time.
    func within<Value: Sendable>(
        _ limit: Duration, else late: Value, _ work: @escaping @Sendable () async -> Value
    ) async -> Value {
        let timer: @Sendable () async -> Value = {
            try? await sleep(for: max(.zero, limit))
            return late
        }
        return await first(of: [work, timer]) ?? late
    }
}

/// Cancels a ``SwapClock/schedule(after:_:)``.
package struct ScheduledAction: Sendable {
    private let onCancel: @Sendable () -> Void

    /// - Parameter onCancel: stops the timer; called by each ``cancel()``.
    package init(onCancel: @escaping @Sendable () -> Void) { self.onCancel = onCancel }

    /// Prevents the action, if it has not run yet.
    package func cancel() { onCancel() }
}

/// The machine's own monotonic clock.
package struct SystemClock: SwapClock {
    package init() {}

    package var now: ContinuousClock.Instant { .now }
    package var date: Date { .now }

    package func sleep(for duration: Duration) async throws { try await Timers.shared.sleep(for: duration) }

    package func schedule(after duration: Duration, _ action: @escaping @Sendable () -> Void) -> ScheduledAction {
        let entry = Timers.shared.schedule(after: duration, action)
        return ScheduledAction { entry.cancel() }
    }
}
