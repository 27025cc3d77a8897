import CLibvirt

/// A domain of a connection: the handle, which stays valid when the domain itself is gone (calls then throw `isNoDomain`).
package final class LibvirtDomain: Sendable {
    /// The UUID as libvirt writes it: lower case, with hyphens.
    package let uuid: String
    /// The name.
    package let name: String
    private let connection: ConnectionHandle
    private let handle: DomainHandle

    /// Takes the reference over that a libvirt call returned.
    @safe init(owning pointer: OpaquePointer, connection: ConnectionHandle) {
        uuid = domainUUID(pointer) ?? ""
        name = unsafe virDomainGetName(pointer).map { unsafe String(cString: $0) } ?? ""
        self.connection = connection
        handle = unsafe DomainHandle(pointer: pointer, pool: connection.pool)
    }

    /// Runs a blocking call with the pointer on a thread of the pool.
    @safe func call<Value: Sendable>(
        _ body: @escaping @Sendable (OpaquePointer) throws(LibvirtError) -> Value
    ) async throws(LibvirtError) -> Value {
        try await connection.call { (_) throws(LibvirtError) in unsafe try body(self.handle.pointer) }
    }

    /// The present state and the `virDomain…Reason` that goes with it (`virDomainGetState`).
    package func state() async throws(LibvirtError) -> (state: DomainState, reason: Int32) {
        try await call { (domain) throws(LibvirtError) in
            var state: Int32 = 0
            var reason: Int32 = 0
            try check(unsafe virDomainGetState(domain, &state, &reason, 0))
            return (DomainState(code: state), reason)
        }
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

    /// Ends the guest at once.
    package func destroy() async throws(LibvirtError) {
        try await call { (domain) throws(LibvirtError) in _ = try check(unsafe virDomainDestroy(domain)) }
    }

    /// Pauses the guest's CPUs.
    package func suspend() async throws(LibvirtError) {
        try await call { (domain) throws(LibvirtError) in _ = try check(unsafe virDomainSuspend(domain)) }
    }

    /// Lets a paused guest go on.
    package func resume() async throws(LibvirtError) {
        try await call { (domain) throws(LibvirtError) in _ = try check(unsafe virDomainResume(domain)) }
    }

    /// Sends a QMP command and returns QEMU's whole answer, an `error` of QEMU's included (`virDomainQemuMonitorCommand`).
    ///
    /// libvirt marks the domain tainted (`custom-monitor`).
    package func monitorCommand(json: String) async throws(LibvirtError) -> String {
        try await call { (domain) throws(LibvirtError) in
            var answer: UnsafeMutablePointer<CChar>?
            try check(unsafe virDomainQemuMonitorCommand(domain, json, &answer, 0))
            return try takeString(answer)
        }
    }
}

/// The owner of a `virDomainPtr`.
@safe private struct DomainHandle: ~Copyable, @unchecked Sendable {
    let pointer: OpaquePointer
    let pool: CallPool

    deinit {
        // It can hold the last reference to a closed connection, and then freeing it waits for the other side.
        let released = unsafe Released(pointer: pointer)
        pool.submit { _ = unsafe virDomainFree(released.pointer) }
    }
}

/// `virDomainState`.
package enum DomainState: Sendable, Hashable {
    case noState, running, blocked, paused, shutdown, shutoff, crashed, pmsuspended
    /// One that this libvirt has and pivotd does not know.
    case other(Int32)

    init(code: Int32) {
        self =
            switch code {
            case Int32(VIR_DOMAIN_NOSTATE.rawValue): .noState
            case Int32(VIR_DOMAIN_RUNNING.rawValue): .running
            case Int32(VIR_DOMAIN_BLOCKED.rawValue): .blocked
            case Int32(VIR_DOMAIN_PAUSED.rawValue): .paused
            case Int32(VIR_DOMAIN_SHUTDOWN.rawValue): .shutdown
            case Int32(VIR_DOMAIN_SHUTOFF.rawValue): .shutoff
            case Int32(VIR_DOMAIN_CRASHED.rawValue): .crashed
            case Int32(VIR_DOMAIN_PMSUSPENDED.rawValue): .pmsuspended
            default: .other(code)
            }
    }
}
