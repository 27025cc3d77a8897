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
            let thread = Thread { self.run() }
            thread.name = "libvirt-events"
            thread.start()
        }
    }

    private func run() {
        while virEventRunDefaultImpl() >= 0 {}
        // poll() itself failed; the next start() retries with a new thread.
        state.withLock { $0.running = false }
    }
}
