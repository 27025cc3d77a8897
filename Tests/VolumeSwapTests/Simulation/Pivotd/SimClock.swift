import Foundation
import Synchronization

@testable import VolumeSwap

/// The time as one incarnation of pivotd sees it: virtual, and over when the incarnation is.
final class SimClock: SwapClock, @unchecked Sendable {
    private static let epoch = ContinuousClock.now
    private let loop: SimLoop
    private let life: SimLife

    init(_ loop: SimLoop, _ life: SimLife) {
        self.loop = loop
        self.life = life
    }

    var now: ContinuousClock.Instant { Self.epoch.advanced(by: .microseconds(loop.now)) }
    var date: Date { Date(timeIntervalSince1970: 1_800_000_000 + Double(loop.now) / 1e6) }

    func sleep(for duration: Duration) async throws {
        let sleep = Sleep()
        await withTaskCancellationHandler {
            await withUnsafeContinuation { continuation in
                // A sleep of a dead process or a cancelled task ends at once.
                guard life.isAlive, !Task.isCancelled else { return continuation.resume() }
                sleep.continuation = continuation
                sleep.timer = loop.after(Self.time(duration)) { sleep.wake() }
            }
        } onCancel: { [loop] in
            loop.cancel(sleep.timer)
            sleep.wake()
        }
        if Task.isCancelled || !life.isAlive { throw CancellationError() }
    }

    func schedule(after duration: Duration, _ action: @escaping @Sendable () -> Void) -> ScheduledAction {
        let timer = loop.after(Self.time(duration)) { [life] in if life.isAlive { action() } }
        return ScheduledAction { [loop] in loop.cancel(timer) }
    }

    static func time(_ duration: Duration) -> SimLoop.Time {
        let (seconds, attoseconds) = duration.components
        return seconds * .second + attoseconds / 1_000_000_000_000
    }

    private final class Sleep: @unchecked Sendable {
        var continuation: UnsafeContinuation<Void, Never>?
        var timer: SimLoop.Timer?

        func wake() {
            continuation?.resume()
            continuation = nil
        }
    }
}
