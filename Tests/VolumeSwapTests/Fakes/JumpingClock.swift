import Foundation
import Synchronization

@testable import VolumeSwap

/// The machine's clock, which tests can advance, so that no time-out waits for real time.
final class JumpingClock: SwapClock {
    private let offset = Mutex(Duration.zero)
    private let stopped = Mutex<ContinuousClock.Instant?>(nil)

    var now: ContinuousClock.Instant { (stopped.withLock { $0 } ?? .now) + offset.withLock { $0 } }
    var date: Date { .now.addingTimeInterval(offset.withLock { $0 } / .seconds(1)) }

    /// From now on only ``jump(_:)`` moves it, however slow the machine is.
    func stop() { stopped.withLock { $0 = .now } }

    func jump(_ duration: Duration) { offset.withLock { $0 += duration } }

    func sleep(for duration: Duration) async throws { try await Task.sleep(for: duration) }

    func schedule(after duration: Duration, _ action: @escaping @Sendable () -> Void) -> ScheduledAction {
        SystemClock().schedule(after: duration, action)
    }
}
