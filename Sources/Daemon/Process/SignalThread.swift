import Foundation
import Glibc
import Logging
import Observability
import Synchronization

/// Handles SIGTERM, SIGINT and SIGHUP on its own thread, so that the process exits on request even if its tasks cannot run.
///
/// The thread also enforces the drain's time limit. Everything is in the journal, so whatever hangs can be abandoned.
final class SignalThread: Sendable {
    /// The part of the time limit reserved for the last log lines.
    private static let farewell = Duration.milliseconds(100)

    private let drainLimit: Mutex<Duration>
    private let logger: Logger
    private let onStop: @Sendable () -> Void
    private let onReload: @Sendable () -> Void
    private let pipe: SignalPipe
    /// One at a time, so that the last SIGHUP's configuration is the one that stays.
    private let reloads = DispatchQueue(label: "pivotd.reload")

    /// - Parameters:
    ///   - onStop: Called once, on the thread; must not block.
    ///   - onReload: Called for each SIGHUP, on a dispatch queue of its own.
    init(
        drainLimit: Duration, logger: Logger, onStop: @escaping @Sendable () -> Void, onReload: @escaping @Sendable () -> Void
    ) throws {
        self.drainLimit = Mutex(drainLimit)
        self.logger = logger
        self.onStop = onStop
        self.onReload = onReload
        pipe = try SignalPipe([SIGTERM, SIGINT, SIGHUP])
    }

    func start() {
        let thread = Thread { [self] in run() }
        thread.name = "signals"
        thread.start()
    }

    /// Applies to a drain that has not begun.
    func setDrainLimit(_ limit: Duration) { drainLimit.withLock { $0 = limit } }

    private func run() {
        var end: ContinuousClock.Instant?
        while true {
            switch pipe.next(until: end) {
            case nil: leave()
            case SIGHUP?: reloads.async { [onReload] in onReload() }
            default:
                guard end == nil else { continue }
                let limit = drainLimit.withLock { $0 }
                end = .now + max(.zero, limit - Self.farewell)
                onStop()
            }
        }
    }

    /// Uses `_exit`, because the C library's exit handlers may wait for what hangs.
    private func leave() -> Never {
        logger.warning("not drained within drain_timeout_s: the journal takes over")
        LogOutput.standardError.flush(within: Self.farewell)
        _exit(0)
    }
}

/// Signals as bytes in a pipe.
private struct SignalPipe {
    private let reading: CInt

    init(_ signals: [CInt]) throws {
        var ends: [CInt] = [-1, -1]
        guard unsafe pipe(&ends) == 0 else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
        for end in ends {
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
        }
        reading = ends[0]
        Self.writing.store(ends[1], ordering: .sequentiallyConsistent)
        for signal in signals {
            var action = sigaction()
            // A handler instead of a mask: helpers and QEMU would inherit a mask, but start with default actions.
            unsafe action.__sigaction_handler.sa_handler = { signal in SignalPipe.note(signal) }
            action.sa_flags = SA_RESTART
            guard unsafe sigaction(signal, &action, nil) == 0 else {
                throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO)
            }
        }
    }

    /// The next signal, or nil if none arrives before `end`.
    func next(until end: ContinuousClock.Instant?) -> CInt? {
        while true {
            var signal: UInt8 = 0
            if unsafe read(reading, &signal, 1) == 1 { return CInt(signal) }
            let left = end.map { max(.zero, ContinuousClock.now.duration(to: $0)) }
            if left == .zero { return nil }
            var polled = pollfd(fd: reading, events: Int16(POLLIN), revents: 0)
            // Rounded up, or we would busy-loop for the last fraction of a millisecond.
            _ = unsafe poll(&polled, 1, left.map { CInt(clamping: Int64($0 / .milliseconds(1)) + 1) } ?? -1)
        }
    }

    private static let writing = Atomic<CInt>(-1)

    /// Runs in signal context, so it only does one write.
    private static func note(_ signal: CInt) {
        let saved = errno
        var byte = UInt8(truncatingIfNeeded: signal)
        _ = unsafe write(writing.load(ordering: .sequentiallyConsistent), &byte, 1)
        errno = saved
    }
}
