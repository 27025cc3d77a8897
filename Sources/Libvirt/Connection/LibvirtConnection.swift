import CLibvirt
import Dispatch
import Foundation
package import Logging
import Synchronization

/// A connection to a hypervisor's libvirt driver, remote or embedded.
///
/// Calls block the connection's own threads, at most 32, never the caller's. They throw ``LibvirtError``: what libvirt reports,
/// or `isConnectionLost` when the connection ends, in which case it is unknown whether a call in flight had an effect.
package final class LibvirtConnection: Sendable {
    /// The URI it was opened with.
    package let uri: String
    let handle: ConnectionHandle
    /// Where secrets are: the same connection, except for an embedded hypervisor driver.
    let secrets: ConnectionHandle
    /// The answer of ``knownFlags()``.
    let flags = Mutex<[LibvirtFlag: Bool]?>(nil)
    /// The handles of ``knownDomain(uuid:)``.
    let knownDomains = Mutex<[String: LibvirtDomain]>([:])

    private init(uri: String, handle: ConnectionHandle, secrets: ConnectionHandle) {
        self.uri = uri
        self.handle = handle
        self.secrets = secrets
    }

    /// Opens a connection (`virConnectOpen`) and registers for its events; a remote one is probed every 5 s.
    ///
    /// Starts the event loop first. Only one process at a time may use an embedded driver's directory.
    ///
    /// - Parameter events: Pass false for a connection that only reports its own end.
    /// - Throws: what libvirt reports; `VIR_ERR_NO_CONNECT` when the other side accepts the connection and then does not answer
    ///   for 30 s.
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
        // It has no peer to watch, and may take long to start, because it adopts running domains.
        let secrets = try await ConnectionHandle.open(
            uri: secretURI, events: events, watched: false, within: nil, logger: logger)
        let handle = try await ConnectionHandle.open(
            uri: uri, secrets: secrets, events: events, watched: false, within: nil, logger: logger)
        return LibvirtConnection(uri: uri, handle: handle, secrets: secrets)
    }

    /// Whether a daemon serves connections to this URI; if not, the driver is embedded in this process.
    package static func isServed(_ uri: String) -> Bool {
        !isEmbedded(uri) && !uri.hasPrefix("test:")
    }

    /// Whether a URI names QEMU's driver on this host: no server, no transport over the network, no alias, and no other URI that the
    /// daemon is to open.
    package static func isLocal(_ uri: String) -> Bool {
        guard let components = URLComponents(string: uri) else { return false }
        return ["qemu", "qemu+unix"].contains(components.scheme) && components.host?.isEmpty ?? true
            && !(components.queryItems ?? []).contains { $0.name == "name" }
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

    /// Why the connection ended; nil while it is open.
    package var closeReason: CloseReason? { handle.hub.closeReason }

    /// Waits for the end of the connection. An embedded driver ends only by `close()`.
    ///
    /// - Throws: `CancellationError` if the waiting task is cancelled.
    package func waitUntilClosed() async throws(CancellationError) -> CloseReason {
        guard let reason = await handle.hub.waitUntilClosed() else { throw CancellationError() }
        return reason
    }

    /// Subscribes to the connection's events from now on.
    ///
    /// - Parameters:
    ///   - domainUUID: Restricts events to this domain; nil for all.
    ///   - limit: Maximum events waiting for the subscriber; beyond it the oldest are dropped.
    package func events(domainUUID: String? = nil, limit: Int = 256) -> LibvirtEvents {
        LibvirtEvents(hub: handle.hub, domainUUID: domainUUID, limit: limit)
    }

    /// Ends calls and subscriptions, deregisters the callbacks and closes, waiting at most 5 s for the other side.
    ///
    /// The transport itself closes when its last domain and secret are released.
    package func close() async {
        knownDomains.withLock { $0 = [:] }
        await handle.close(within: .seconds(5))
        if secrets !== handle { await secrets.close(within: .seconds(5)) }
    }
}
