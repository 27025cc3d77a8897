import CLibvirt
package import Logging

/// A connection to a hypervisor's libvirt driver, remote or embedded.
///
/// Calls block a thread of the pool, never the caller's, and any number may run at once. After `close()` they throw
/// `VIR_ERR_INVALID_CONN`.
package final class LibvirtConnection: Sendable {
    /// The URI it was opened with.
    package let uri: String
    let handle: ConnectionHandle

    private init(uri: String, handle: ConnectionHandle) {
        self.uri = uri
        self.handle = handle
    }

    /// Opens a connection (`virConnectOpen`) with keepalive (5 s, 5 times) where the driver has it, and registers for its events.
    ///
    /// The event loop is started first. An embedded driver's directory belongs to one process at a time.
    package static func open(uri: String, logger: Logger) async throws(LibvirtError) -> LibvirtConnection {
        try LibvirtEventLoop.shared.start()
        let handle = try await CallPool.shared.run { () throws(LibvirtError) in
            try ConnectionHandle(uri: uri, logger: logger)
        }
        return LibvirtConnection(uri: uri, handle: handle)
    }

    /// The version of the libvirt that serves the connection, as 1,000,000 × major + 1,000 × minor + release.
    package func libraryVersion() async throws(LibvirtError) -> UInt {
        try await handle.call { (connection) throws(LibvirtError) in
            var version: UInt = 0
            try check(unsafe virConnectGetLibVersion(connection, &version))
            return version
        }
    }

    /// The hypervisor's version in the same form: QEMU's, for `qemu` URIs.
    package func hypervisorVersion() async throws(LibvirtError) -> UInt {
        try await handle.call { (connection) throws(LibvirtError) in
            var version: UInt = 0
            try check(unsafe virConnectGetVersion(connection, &version))
            return version
        }
    }

    /// Whether undefining can keep a vTPM's state (`DomainUndefineFlags.keepTPM`): libvirt 8.9 and newer.
    package func supportsKeepTPM() async throws(LibvirtError) -> Bool {
        try await libraryVersion() >= 8_009_000
    }

    /// The host's name as the hypervisor's side knows it.
    package func hostname() async throws(LibvirtError) -> String {
        try await handle.call { (connection) throws(LibvirtError) in try takeString(unsafe virConnectGetHostname(connection)) }
    }

    /// Whether the connection still works, as far as this side knows (`virConnectIsAlive`); false after `close()`.
    package func isAlive() async -> Bool {
        guard handle.hub.closeReason == nil else { return false }
        do throws(LibvirtError) {
            return try await handle.call { unsafe virConnectIsAlive($0) == 1 }
        } catch {
            return false
        }
    }

    /// Why the connection ended; nil while it lives.
    package var closeReason: CloseReason? { handle.hub.closeReason }

    /// Waits for the end of the connection. An embedded driver ends only by `close()`.
    ///
    /// - Throws: `CancellationError` when the waiting task is cancelled.
    package func waitUntilClosed() async throws(CancellationError) -> CloseReason {
        guard let reason = await handle.hub.waitUntilClosed() else { throw CancellationError() }
        return reason
    }

    /// Subscribes to the connection's events from now on.
    ///
    /// - Parameters:
    ///   - domainUUID: only this domain's; nil for all.
    ///   - limit: how many may wait for the subscriber before the oldest are dropped.
    package func events(domainUUID: String? = nil, limit: Int = 256) -> LibvirtEvents {
        LibvirtEvents(hub: handle.hub, domainUUID: domainUUID, limit: limit)
    }

    /// Deregisters the callbacks and closes. The transport itself ends when the last domain and secret of it is dropped.
    package func close() async {
        let handle = handle
        await withCheckedContinuation { continuation in
            CallPool.shared.submit {
                handle.close()
                continuation.resume()
            }
        }
    }
}
