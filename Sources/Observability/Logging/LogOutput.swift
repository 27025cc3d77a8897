import Basics
import Foundation
import Synchronization

/// Writes whole lines to a file descriptor, in order, from its own thread, so that logging never waits for the log's reader.
///
/// If a stalled reader leaves no room, lines are dropped and counted; the log says how many once it is read again.
package final class LogOutput: Sendable {
    /// The process's standard error.
    package static let standardError = LogOutput(descriptor: 2)

    /// Maximum bytes waiting to be written.
    static let defaultCapacity = 1 << 20

    private struct State {
        var waiting: [UInt8] = []
        /// Dropped lines not yet reported in the log.
        var unreported = 0
        var dropped = 0
        var isStarted = false
        var isWriting = false
        var flushWaiters: [DispatchSemaphore] = []

        var isIdle: Bool { waiting.isEmpty && !isWriting }
    }

    private let descriptor: Int32
    private let capacity: Int
    private let state = Mutex(State())
    private let work = DispatchSemaphore(value: 0)
    private let lossLine = Mutex<@Sendable (Int) -> String>({ "\($0) log lines were dropped: the log was not read" })

    /// - Parameter capacity: Maximum bytes waiting to be written; lines beyond it are dropped and counted.
    package init(descriptor: Int32, capacity: Int = defaultCapacity) {
        self.descriptor = descriptor
        self.capacity = capacity
    }

    /// Lines dropped since the start.
    package var dropped: Int { state.withLock { $0.dropped } }

    /// Sets how the log reports that lines are missing.
    package func describeLosses(_ line: @escaping @Sendable (Int) -> String) { lossLine.withLock { $0 = line } }

    /// Queues the line and a line feed; never waits. A line that the descriptor refuses (closed, full disk) is lost: there is
    /// nowhere left to report it.
    func write(_ line: String) {
        let (isNew, needsSignal) = state.withLock { state -> (Bool, Bool) in
            guard state.waiting.count + line.utf8.count < capacity else {
                state.unreported += 1
                state.dropped += 1
                return (false, false)
            }
            let wasEmpty = state.waiting.isEmpty
            state.waiting.append(contentsOf: line.utf8)
            state.waiting.append(UInt8(ascii: "\n"))
            defer { state.isStarted = true }
            return (!state.isStarted, wasEmpty)
        }
        if isNew { start() }
        if needsSignal { work.signal() }
    }

    /// Blocks until all queued lines are written, at most for `limit`; for use at the end of a process.
    package func flush(within limit: Duration) {
        let written = DispatchSemaphore(value: 0)
        let isIdle = state.withLock { state in
            if !state.isIdle { state.flushWaiters.append(written) }
            return state.isIdle
        }
        guard !isIdle else { return }
        _ = written.wait(timeout: .now() + limit / .seconds(1))
    }

    private func start() {
        let thread = Thread { [self] in
            while true {
                work.wait()
                writeWaiting()
            }
        }
        thread.name = "log"
        thread.start()
    }

    private func writeWaiting() {
        while true {
            let (bytes, lost) = state.withLock { state in
                state.isWriting = !state.waiting.isEmpty || state.unreported > 0
                if !state.isWriting {
                    for waiter in state.flushWaiters { waiter.signal() }
                    state.flushWaiters = []
                }
                defer { (state.waiting, state.unreported) = ([], 0) }
                return (state.waiting, state.unreported)
            }
            guard !bytes.isEmpty || lost > 0 else { return }
            _ = writeAll(bytes, to: descriptor)
            if lost > 0 { _ = writeAll(Array((lossLine.withLock { $0 }(lost) + "\n").utf8), to: descriptor) }
        }
    }
}
