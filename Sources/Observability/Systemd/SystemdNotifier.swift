import Foundation

/// Reports the service's state to systemd, as sd_notify(3) does, but without libsystemd.
///
/// Outside systemd (no `NOTIFY_SOCKET`) every call does nothing.
package struct SystemdNotifier: Sendable {
    /// The path of the socket, or its name after `@` in the abstract namespace.
    private let path: String?

    /// How often to call ``watchdog()``: half of `WATCHDOG_USEC`, as sd_watchdog_enabled(3) advises.
    /// nil when no watchdog is set or when it is meant for another process.
    package let watchdogInterval: Duration?

    /// - Parameter environment: Supplies `NOTIFY_SOCKET` and `WATCHDOG_USEC`.
    package init(environment: [String: String] = ProcessInfo.processInfo.environment) {
        let path = environment["NOTIFY_SOCKET"] ?? ""
        self.path = path.hasPrefix("/") || path.hasPrefix("@") ? path : nil
        let isOurs = environment["WATCHDOG_PID"].map { $0 == String(getpid()) } ?? true
        let period = environment["WATCHDOG_USEC"].flatMap(Int64.init) ?? 0
        self.watchdogInterval = isOurs && period > 0 && self.path != nil ? .microseconds(period / 2) : nil
    }

    /// `READY=1`: start-up is over.
    @discardableResult
    package func ready(status: String = "") -> Bool {
        status.isEmpty ? send("READY=1") : send("READY=1\nSTATUS=\(LogText.escapingControls(status))")
    }

    /// `STOPPING=1`: the service shuts down.
    @discardableResult
    package func stopping() -> Bool { send("STOPPING=1") }

    /// `STATUS=`: one line for `systemctl status`.
    @discardableResult
    package func status(_ text: String) -> Bool { send("STATUS=\(LogText.escapingControls(text))") }

    /// `WATCHDOG=1`: still alive.
    @discardableResult
    package func watchdog() -> Bool { send("WATCHDOG=1") }

    /// Calls ``watchdog()`` at ``watchdogInterval`` while `isAlive` returns true, until the task is cancelled.
    ///
    /// Returns at once if no watchdog is set.
    package func runWatchdog(isAlive: @Sendable () async -> Bool) async {
        guard let watchdogInterval else { return }
        repeat {
            if await isAlive() { watchdog() }
            try? await Task.sleep(for: watchdogInterval)
        } while !Task.isCancelled
    }

    /// Sends one datagram without waiting.
    ///
    /// - Returns: false if there is no socket or it did not accept the datagram; the service runs on without systemd.
    private func send(_ state: String) -> Bool {
        guard let path, var address = UnixAddress(path) else { return false }
        let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        let bytes = Array(state.utf8)
        let flags = Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT)
        let sent = unsafe bytes.withUnsafeBytes { buffer in
            unsafe address.withPointer { pointer, length in
                unsafe sendto(descriptor, buffer.baseAddress, buffer.count, flags, pointer, length)
            }
        }
        return sent == bytes.count
    }
}

/// A sockaddr_un and its exact length, which an abstract name needs because every byte of it counts.
private struct UnixAddress {
    private var address = sockaddr_un()
    private let length: socklen_t

    init?(_ path: String) {
        var bytes = Array(path.utf8)
        let isAbstract = bytes.first == UInt8(ascii: "@")
        if isAbstract { bytes[0] = 0 }
        let offset = MemoryLayout<sa_family_t>.size
        guard bytes.count + (isAbstract ? 0 : 1) <= MemoryLayout<sockaddr_un>.size - offset else { return nil }
        address.sun_family = sa_family_t(AF_UNIX)
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: bytes) }
        length = socklen_t(offset + bytes.count + (isAbstract ? 0 : 1))
    }

    mutating func withPointer<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
        let length = length
        return unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe body($0, length) }
        }
    }
}
