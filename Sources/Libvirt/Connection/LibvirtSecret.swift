import CLibvirt

/// A secret of a connection's secret driver.
package final class LibvirtSecret: Sendable {
    /// `virSecretUsageType`.
    package enum UsageType: Int32, Sendable, Hashable {
        case volume = 1
        case ceph = 2
        case iscsi = 3
    }

    /// The UUID as libvirt writes it: lower case, with hyphens.
    package let uuid: String
    private let connection: ConnectionHandle
    private let handle: SecretHandle
    private let removable: Bool

    /// Takes ownership of the reference that a libvirt call returned.
    @safe init(owning pointer: OpaquePointer, connection: ConnectionHandle, removable: Bool) {
        self.removable = removable
        uuid = uuidText { unsafe virSecretGetUUIDString(pointer, $0) } ?? ""
        self.connection = connection
        handle = unsafe SecretHandle(pointer: pointer, pool: connection.pool)
    }

    /// Sets the value (`virSecretSetValue`).
    package func setValue(_ bytes: [UInt8]) async throws(LibvirtError) {
        try await call { (secret) throws(LibvirtError) in
            _ = try check(unsafe virSecretSetValue(secret, bytes, bytes.count, 0))
        }
    }

    /// Removes the secret, or only clears it if the driver cannot (`LibvirtConnection.canUndefineSecrets`).
    package func undefine() async throws(LibvirtError) {
        guard removable else { return try await setValue([]) }
        try await call { (secret) throws(LibvirtError) in _ = try check(unsafe virSecretUndefine(secret)) }
    }

    @safe private func call<Value: Sendable>(
        _ body: @escaping @Sendable (OpaquePointer) throws(LibvirtError) -> Value
    ) async throws(LibvirtError) -> Value {
        try await connection.call { (_) throws(LibvirtError) in unsafe try body(self.handle.pointer) }
    }
}

/// Owns a `virSecretPtr`.
@safe private struct SecretHandle: ~Copyable, @unchecked Sendable {
    let pointer: OpaquePointer
    let pool: CallPool

    deinit {
        let released = unsafe Released(pointer: pointer)
        pool.submit { _ = unsafe virSecretFree(released.pointer) }
    }
}
