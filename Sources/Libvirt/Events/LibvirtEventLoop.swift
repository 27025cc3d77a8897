import CLibvirt
import Foundation
import Synchronization

/// libvirt's default event loop on its own thread, one per process.
///
/// libvirt delivers events, keepalives and close notices from here, and an embedded driver needs it before it is opened. The
/// thread sleeps in `poll` until one of libvirt's handles or timers is due.
package final class LibvirtEventLoop: Sendable {
    /// The process's loop: `virEventRegisterDefaultImpl` may only be called once.
    package static let shared = LibvirtEventLoop()

    private struct State {
        var registered = false
        var thread: UInt64 = 0
        var running = false
    }

    private let state = Mutex(State())

    private init() {}

    /// Starts the loop's thread unless it is running.
    ///
    /// - Throws: ``LibvirtError`` of `virInitialize` or `virEventRegisterDefaultImpl`.
    package func start() throws(LibvirtError) {
        try state.withLock { (state) throws(LibvirtError) in
            guard !state.running else { return }
            if !state.registered {
                // An embedded driver writes warnings to stderr, into a log that may be JSON. The user's own variable wins.
                _ = unsafe setenv("LIBVIRT_DEBUG", "error", 0)
                try check(virInitialize())
                // Without a handler libvirt prints every error to stderr.
                unsafe virSetErrorFunc(nil) { _, _ in }
                try check(virEventRegisterDefaultImpl())
                state.registered = true
            }
            state.running = true
            state.thread += 1
            let number = state.thread
            let thread = Thread { self.run(number) }
            thread.name = "libvirt-events"
            thread.start()
        }
    }

    /// Ends the loop's thread soon; events, keepalives and close notices stop until the next `start()`.
    package func stop() {
        let wake = state.withLock { state in
            defer { state.running = false }
            return state.running
        }
        // A timer is the only way to end another thread's wait in virEventRunDefaultImpl.
        if wake {
            _ = unsafe virEventAddTimeout(0, { timer, _ in virEventRemoveTimeout(timer) }, nil, nil)
        }
    }

    private func run(_ number: UInt64) {
        while state.withLock({ $0.running && $0.thread == number }) {
            guard virEventRunDefaultImpl() >= 0 else {
                // poll() itself failed; the next start() retries with a new thread.
                state.withLock { state in
                    if state.thread == number { state.running = false }
                }
                return
            }
        }
    }
}
