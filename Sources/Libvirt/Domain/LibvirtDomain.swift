import CLibvirt

/// A handle to a domain, which stays valid when the domain itself is gone.
///
/// Every call throws ``LibvirtError``: `isNoDomain` once the domain is gone, `isConnectionLost` if the connection is,
/// `isOperationTimeout` if another call holds the domain for too long, else what libvirt reports.
package final class LibvirtDomain: Sendable {
    /// The UUID as libvirt writes it: lower case, with hyphens.
    package let uuid: String
    /// The name.
    package let name: String
    /// libvirt's number of the running guest when this was looked up, which no later guest of the same libvirtd has; nil if none ran.
    package let id: UInt32?
    private let connection: ConnectionHandle
    private let handle: DomainHandle

    /// Takes ownership of the reference that a libvirt call returned.
    @safe init(owning pointer: OpaquePointer, connection: ConnectionHandle) {
        uuid = domainUUID(pointer) ?? ""
        name = unsafe virDomainGetName(pointer).map { unsafe String(cString: $0) } ?? ""
        let number = unsafe virDomainGetID(pointer)
        id = number == .max ? nil : number
        self.connection = connection
        handle = unsafe DomainHandle(pointer: pointer, pool: connection.pool)
    }

    /// Runs a blocking call with the pointer on a thread of the pool.
    @safe func call<Value: Sendable>(
        _ body: @escaping @Sendable (OpaquePointer) throws(LibvirtError) -> Value
    ) async throws(LibvirtError) -> Value {
        try await connection.call { (_) throws(LibvirtError) in unsafe try body(self.handle.pointer) }
    }

    /// Whether the domain has a running or paused guest.
    package func isActive() async throws(LibvirtError) -> Bool {
        try await call { (domain) throws(LibvirtError) in try check(unsafe virDomainIsActive(domain)) == 1 }
    }

    /// Whether the domain has a stored configuration.
    package func isPersistent() async throws(LibvirtError) -> Bool {
        try await call { (domain) throws(LibvirtError) in try check(unsafe virDomainIsPersistent(domain)) == 1 }
    }

    /// Starts a defined domain.
    package func create() async throws(LibvirtError) {
        try await call { (domain) throws(LibvirtError) in _ = try check(unsafe virDomainCreate(domain)) }
    }

    /// Kills the guest immediately.
    package func destroy() async throws(LibvirtError) {
        try await call { (domain) throws(LibvirtError) in _ = try check(unsafe virDomainDestroy(domain)) }
    }

    /// Pauses the guest's CPUs.
    package func suspend() async throws(LibvirtError) {
        try await call { (domain) throws(LibvirtError) in _ = try check(unsafe virDomainSuspend(domain)) }
    }

    /// Resumes a paused guest.
    package func resume() async throws(LibvirtError) {
        try await call { (domain) throws(LibvirtError) in _ = try check(unsafe virDomainResume(domain)) }
    }

    /// Sends a QMP command and returns QEMU's complete answer, even if it is an `error` (`virDomainQemuMonitorCommand`).
    ///
    /// libvirt marks the domain as tainted (`custom-monitor`).
    package func monitorCommand(json: String) async throws(LibvirtError) -> String {
        try await call { (domain) throws(LibvirtError) in
            var answer: UnsafeMutablePointer<CChar>?
            try check(unsafe virDomainQemuMonitorCommand(domain, json, &answer, 0))
            return try takeString(answer)
        }
    }
}

/// Owns a `virDomainPtr`.
@safe private struct DomainHandle: ~Copyable, @unchecked Sendable {
    let pointer: OpaquePointer
    let pool: CallPool

    deinit {
        // It may hold the last reference to a closed connection, in which case freeing it waits for the other side.
        let released = unsafe Released(pointer: pointer)
        pool.submit { _ = unsafe virDomainFree(released.pointer) }
    }
}
