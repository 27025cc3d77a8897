import CLibvirt
import Foundation

/// Points an embedded QEMU driver to its process's secret driver.
///
/// The QEMU driver takes secrets (LUKS, Ceph, CHAP) from the calling thread's secret connection, under the thread's identity. A
/// daemon sets both; otherwise the driver opens `secret:///system`, which an embedded secret driver refuses. The functions are in
/// no header, so they are looked up at run time; if a libvirt no longer has them, such secrets are simply not found.
enum EmbeddedSecrets {
    private typealias SetPointer = @convention(c) (OpaquePointer?) -> Int32
    private typealias GetPointer = @convention(c) () -> OpaquePointer?

    private static let setConnectSecret = unsafe symbol("virSetConnectSecret", as: SetPointer.self)
    private static let setIdentity = unsafe symbol("virIdentitySetCurrent", as: SetPointer.self)
    /// This process's identity, never released.
    nonisolated(unsafe) private static let identity = unsafe symbol("virIdentityGetSystem", as: GetPointer.self)?()

    /// Runs a blocking call with the thread's secret connection set; the connection must outlive the call.
    @safe static func with<Value>(
        _ secrets: OpaquePointer, _ body: () throws(LibvirtError) -> Value
    ) throws(LibvirtError) -> Value {
        guard let setConnectSecret = unsafe setConnectSecret, let setIdentity = unsafe setIdentity,
            let identity = unsafe identity
        else { return try body() }
        _ = unsafe setIdentity(identity)
        _ = unsafe setConnectSecret(secrets)
        defer { _ = setConnectSecret(nil) }
        return try body()
    }

    private static func symbol<Function>(_ name: String, as type: Function.Type) -> Function? {
        unsafe dlsym(nil, name).map { unsafe unsafeBitCast($0, to: type) }
    }
}
