internal import Glibc
internal import Synchronization

/// Ends a connection that has been silent for two heartbeats, whatever its IO thread is waiting for.
///
/// librabbitmq enforces that limit itself while it waits for frames, but not while it writes to a broker that no longer reads:
/// once the limit has passed, `amqp_try_recv` passes 0 seconds to `amqp_time_s_from_now`, which means never (0.11), and waits for
/// as long as the broker is frozen. Shutting down the socket from another thread ends any such wait.
final class SilenceGuard: Sendable {
    private struct State {
        /// -1 while nothing is watched.
        var descriptor: Int32 = -1
        var limit = Duration.zero
        var lastHeard = ContinuousClock.now
        var hasEnded = false
        var isFinished = false

        var deadline: ContinuousClock.Instant? { descriptor < 0 || hasEnded ? nil : lastHeard + limit }
    }

    private let state = Mutex(State())
    private let wake = WakeDescriptor()

    /// Starts watching; the descriptor must stay open until ``release()``.
    func watch(_ descriptor: Int32, limit: Duration) {
        state.withLock { state in
            state.descriptor = descriptor
            state.limit = limit
            state.lastHeard = .now
            state.hasEnded = false
        }
        wake.signal()
    }

    /// Records that the broker has sent something.
    func heard() { state.withLock { $0.lastHeard = .now } }

    /// Stops watching; returns whether the connection was ended for its silence.
    func release() -> Bool {
        state.withLock { state in
            state.descriptor = -1
            return state.hasEnded
        }
    }

    func finish() {
        state.withLock { $0.isFinished = true }
        wake.signal()
    }

    /// Runs on a thread of its own until ``finish()``.
    func run() {
        while !state.withLock(\.isFinished) {
            wait(for: [wake.descriptor], until: state.withLock(\.deadline))
            wake.drain()
            endIfSilent(.now)
        }
    }

    func endIfSilent(_ now: ContinuousClock.Instant) {
        state.withLock { state in
            guard let deadline = state.deadline, deadline <= now else { return }
            state.hasEnded = true
            // Under the lock: after release() the descriptor may belong to another file.
            _ = shutdown(state.descriptor, Int32(SHUT_RDWR))
        }
    }
}
