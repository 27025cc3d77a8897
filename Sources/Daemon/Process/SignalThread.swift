import Foundation
import Glibc
import Logging
import Observability
import Synchronization

/// SIGTERM, SIGINT and SIGHUP, taken on a thread of their own: a process whose tasks get no turn still ends when it is told to.
///
/// The thread also keeps the time limit of the drain. The journal knows where everything stands, so what hangs is left as it is.
final class SignalThread: Sendable {
    /// What the last log lines may take of the time limit.
    private static let farewell = Duration.milliseconds(100)

    private let drainLimit: Mutex<Duration>
    private let logger: Logger
    private let onStop: @Sendable () -> Void
    private let onReload: @Sendable () -> Void
    private let pipe: SignalPipe

    /// - Parameters:
    ///   - onStop: called once, on the thread; must not wait.
    ///   - onReload: called for each SIGHUP, on a dispatch queue.
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

    /// Counts for a drain that has not begun.
    func setDrainLimit(_ limit: Duration) { drainLimit.withLock { $0 = limit } }

    private func run() {
        var end: ContinuousClock.Instant?
        while true {
            switch pipe.next(until: end) {
            case nil: leave()
            case SIGHUP?: DispatchQueue.global().async { [onReload] in onReload() }
            default:
                guard end == nil else { continue }
                let limit = drainLimit.withLock { $0 }
                end = .now + max(.zero, limit - Self.farewell)
                onStop()
            }
        }
    }

    /// `_exit`: what the C library does at an exit may wait for what hangs.
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
            // A handler and no mask: helpers and QEMU inherit masks, but start with the default actions.
            unsafe action.__sigaction_handler.sa_handler = { signal in SignalPipe.note(signal) }
            action.sa_flags = SA_RESTART
            guard unsafe sigaction(signal, &action, nil) == 0 else {
                throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO)
            }
        }
    }

    /// The next signal, or nil when there is none by then.
    func next(until end: ContinuousClock.Instant?) -> CInt? {
        while true {
            var signal: UInt8 = 0
            if unsafe read(reading, &signal, 1) == 1 { return CInt(signal) }
            let left = end.map { max(.zero, ContinuousClock.now.duration(to: $0)) }
            if left == .zero { return nil }
            var polled = pollfd(fd: reading, events: Int16(POLLIN), revents: 0)
            // Rounded up: the last fraction of a millisecond must not be spent in a loop.
            _ = unsafe poll(&polled, 1, left.map { CInt(clamping: Int64($0 / .milliseconds(1)) + 1) } ?? -1)
        }
    }

    private static let writing = Atomic<CInt>(-1)

    /// In signal context: one write, nothing else.
    private static func note(_ signal: CInt) {
        let saved = errno
        var byte = UInt8(truncatingIfNeeded: signal)
        _ = unsafe write(writing.load(ordering: .sequentiallyConsistent), &byte, 1)
        errno = saved
    }
}
