import Dispatch
import Synchronization

/// Probes a remote libvirt at intervals, and reports when several probes have gone unanswered.
///
/// Replaces libvirt's own keepalive: if that finds the other side dead while two calls are in flight, libvirt 9.0's client leaves
/// one of them hanging, withholds the close notice, and reads freed memory when the other side wakes up.
final class Watchdog: Sendable {
    private struct State {
        var waiting = false
        var missed = 0
    }

    private let state = Mutex(State())
    // Dispatch sources are safe to use from any thread, though their Swift type does not say so.
    nonisolated(unsafe) private let timer: any DispatchSourceTimer
    // A queue of its own, since the calls' threads may all be busy.
    private let pool = CallPool(limit: 1)

    /// Starts at once.
    ///
    /// - Parameters:
    ///   - milliseconds: Interval between probes.
    ///   - count: How many intervals may pass without an answer.
    ///   - question: A blocking call whose result does not matter.
    ///   - silence: Called once.
    init(
        milliseconds: Int = 5000, count: Int = 5, question: @escaping @Sendable () -> Void,
        silence: @escaping @Sendable () -> Void
    ) {
        unsafe timer = DispatchSource.makeTimerSource()
        unsafe timer.schedule(
            deadline: .now() + .milliseconds(milliseconds), repeating: .milliseconds(milliseconds),
            leeway: .milliseconds(milliseconds / 10))
        unsafe timer.setEventHandler { [weak self] in self?.tick(count: count, question: question, silence: silence) }
        unsafe timer.activate()
    }

    deinit {
        stop()
        pool.stop()
    }

    func stop() {
        unsafe timer.cancel()
    }

    private func tick(count: Int, question: @escaping @Sendable () -> Void, silence: @Sendable () -> Void) {
        let (ask, silent) = state.withLock { state in
            guard state.waiting else {
                state.waiting = true
                return (true, false)
            }
            state.missed += 1
            return (false, state.missed == count)
        }
        if ask {
            pool.submit { [weak self] in
                question()
                self?.state.withLock { $0 = State() }
            }
        }
        if silent {
            stop()
            silence()
        }
    }
}
