import CLibvirt
import Dispatch
package import Logging

/// A connection to a hypervisor's libvirt driver, remote or embedded.
///
/// Calls block threads of the connection's own, never the caller's, and any number may run at once. When the connection ends,
/// calls in flight fail too (`isConnectionLost`): whether they had an effect is not known then.
package final class LibvirtConnection: Sendable {
    /// The URI it was opened with.
    package let uri: String
    let handle: ConnectionHandle
    /// Where secrets are: the same connection, but for an embedded hypervisor driver.
    let secrets: ConnectionHandle

    private init(uri: String, handle: ConnectionHandle, secrets: ConnectionHandle) {
        self.uri = uri
        self.handle = handle
        self.secrets = secrets
    }

    /// Opens a connection (`virConnectOpen`) and registers for its events; a remote one is asked for a sign of life every 5 s.
    ///
    /// The event loop is started first. An embedded driver's directory belongs to one process at a time.
    ///
    /// - Parameter events: false for a connection on which only its end is told.
    package static func open(
        uri: String, events: Bool = true, logger: Logger
    ) async throws(LibvirtError) -> LibvirtConnection {
        try LibvirtEventLoop.shared.start()
        // An embedded QEMU driver looks for secrets in the process's secret driver, so that one comes first.
        guard let secretURI = embeddedSecretURI(for: uri) else {
            let handle = try await ConnectionHandle.open(
                uri: uri, events: events, watched: true, within: .seconds(30), logger: logger)
            return LibvirtConnection(uri: uri, handle: handle, secrets: handle)
        }
        // It has no other side to watch; its start may take long, since it takes over what runs.
        let secrets = try await ConnectionHandle.open(
            uri: secretURI, events: events, watched: false, within: nil, logger: logger)
        let handle = try await ConnectionHandle.open(
            uri: uri, secrets: secrets, events: events, watched: false, within: nil, logger: logger)
        return LibvirtConnection(uri: uri, handle: handle, secrets: secrets)
    }

    /// Whether a daemon serves connections of this URI; else the driver works in this process.
    package static func isServed(_ uri: String) -> Bool {
        !isEmbedded(uri) && !uri.hasPrefix("test:")
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

    /// Ends calls and subscriptions, deregisters the callbacks and closes, waiting at most 5 s for the other side.
    ///
    /// The transport itself ends when the last domain and secret of it is dropped.
    package func close() async {
        await handle.close(within: .seconds(5))
        if secrets !== handle { await secrets.close(within: .seconds(5)) }
    }
}
