import Foundation
import Synchronization
import VolumeSwap

/// A clock that stands still until it is moved.
final class ManualClock: SwapClock {
    private struct State {
        var now = ContinuousClock.now
        var actions: [UInt64: (due: ContinuousClock.Instant, action: @Sendable () -> Void)] = [:]
        var next: UInt64 = 0
    }

    private let state = Mutex(State())

    var now: ContinuousClock.Instant { state.withLock { $0.now } }
    var date: Date { Date(timeIntervalSince1970: 0) }

    func sleep(for duration: Duration) async throws {
        await withCheckedContinuation { continuation in _ = schedule(after: duration) { continuation.resume() } }
    }

    func schedule(after duration: Duration, _ action: @escaping @Sendable () -> Void) -> ScheduledAction {
        let number = state.withLock { state in
            state.next += 1
            state.actions[state.next] = (state.now + duration, action)
            return state.next
        }
        return ScheduledAction { [self] in state.withLock { $0.actions[number] = nil } }
    }

    /// Moves the time on and carries out what is due, in its order.
    func advance(by duration: Duration) {
        let due = state.withLock { state in
            state.now += duration
            let due = state.actions.filter { $0.value.due <= state.now }
            for number in due.keys { state.actions[number] = nil }
            return due.sorted { ($0.value.due, $0.key) < ($1.value.due, $1.key) }.map(\.value.action)
        }
        due.forEach { $0() }
    }
}
