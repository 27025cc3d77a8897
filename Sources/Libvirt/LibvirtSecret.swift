import CLibvirt
import Foundation

/// A secret of a connection's secret driver.
package final class LibvirtSecret: Sendable {
    /// `virSecretUsageType`.
    package enum UsageType: Int32, Sendable, Hashable {
        case none = 0
        case volume = 1
        case ceph = 2
        case iscsi = 3
        case tls = 4
        case vtpm = 5
    }

    package let uuid: String
    private let connection: ConnectionHandle
    private let handle: SecretHandle
    private let removable: Bool

    /// Takes the reference over that a libvirt call returned.
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

    /// The value (`virSecretGetValue`); nil where it has none.
    ///
    /// - Throws: `VIR_ERR_INVALID_SECRET` for a private one: only the hypervisor may read it.
    package func value() async throws(LibvirtError) -> SecretValue? {
        try await call { (secret) throws(LibvirtError) in
            var size = 0
            guard let pointer = unsafe virSecretGetValue(secret, &size, 0) else {
                let error = LibvirtError.last()
                guard error.isNoSecret else { throw error }
                return nil
            }
            defer {
                unsafe explicit_bzero(pointer, size)
                unsafe free(pointer)
            }
            return unsafe SecretValue(Array(UnsafeBufferPointer(start: pointer, count: size)))
        }
    }

    /// Whether it has a value; nil for a private one, which does not say.
    package func hasValue() async throws(LibvirtError) -> Bool? {
        do throws(LibvirtError) {
            return try await value() != nil
        } catch {
            guard error.isInvalidSecret else { throw error }
            return nil
        }
    }

    /// Removes the secret, or empties it where the driver cannot (`LibvirtConnection.canUndefineSecrets`).
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

/// The owner of a `virSecretPtr`.
@safe private struct SecretHandle: ~Copyable, @unchecked Sendable {
    let pointer: OpaquePointer
    let pool: CallPool

    deinit {
        let released = unsafe Released(pointer: pointer)
        pool.submit { _ = unsafe virSecretFree(released.pointer) }
    }
}

/// A secret's bytes; printing, interpolating or reflecting it shows none of them.
package struct SecretValue: Sendable, Hashable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    package let bytes: [UInt8]

    package init(_ bytes: [UInt8]) {
        self.bytes = bytes
    }

    package var description: String { "***" }
    package var debugDescription: String { description }
    package var customMirror: Mirror { Mirror(self, children: []) }
}
