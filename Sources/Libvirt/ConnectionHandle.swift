import CLibvirt
import Logging
import Synchronization

/// The owner of a `virConnectPtr` and of the callbacks registered on it.
///
/// Each call holds a libvirt reference for as long as it runs, so that closing never frees what another thread uses.
final class ConnectionHandle: Sendable {
    @safe struct State: @unchecked Sendable {
        var pointer: OpaquePointer?
        var registrations: [Registration] = []

        mutating func take() -> State {
            defer { unsafe self = State(pointer: nil) }
            return self
        }

        /// Deregisters and drops the reference; blocking, since the last one says goodbye to a remote libvirt.
        func release() {
            guard let pointer = unsafe pointer else { return }
            for registration in registrations {
                unsafe registration.remove(from: pointer)
            }
            _ = unsafe virConnectClose(pointer)
        }
    }

    let hub: EventHub
    private let state: Mutex<State>

    /// Opens and registers; blocking.
    init(uri: String, logger: Logger) throws(LibvirtError) {
        guard let pointer = unsafe virConnectOpen(uri) else { throw LibvirtError.last() }
        hub = EventHub()
        let registrations = unsafe Registration.all(on: pointer, hub: hub, logger: logger)
        state = Mutex(unsafe State(pointer: pointer, registrations: registrations))
        // 1 is libvirt's answer where the other side lacks keepalive; embedded drivers report an error. Neither matters.
        if unsafe virConnectSetKeepAlive(pointer, 5, 5) != 0 {
            logger.debug("libvirt connection without keepalive", metadata: ["uri": "\(uri)"])
        }
    }

    deinit {
        let left = state.withLock { $0.take() }
        CallPool.shared.submit { left.release() }
        hub.close(.client)
    }

    /// Runs a blocking call with the pointer on the calling thread.
    ///
    /// - Throws: `VIR_ERR_INVALID_CONN` after `close()`, else what the call throws.
    @safe func withPointer<Value>(_ body: (OpaquePointer) throws(LibvirtError) -> Value) throws(LibvirtError) -> Value {
        let reference = try reference()
        return unsafe try body(reference.pointer)
    }

    /// Runs a blocking call with the pointer on a thread of the pool.
    @safe func call<Value: Sendable>(
        _ body: @escaping @Sendable (OpaquePointer) throws(LibvirtError) -> Value
    ) async throws(LibvirtError) -> Value {
        try await CallPool.shared.run { () throws(LibvirtError) in try self.withPointer(body) }
    }

    /// Deregisters the callbacks and drops the connection; blocking. The network connection ends with the last domain and secret.
    func close() {
        state.withLock { $0.take() }.release()
        hub.close(.client)
    }

    private func reference() throws(LibvirtError) -> ConnectionReference {
        try state.withLock { (state) throws(LibvirtError) in
            guard let pointer = unsafe state.pointer else { throw LibvirtError.closed }
            try check(unsafe virConnectRef(pointer))
            return unsafe ConnectionReference(pointer: pointer)
        }
    }
}

/// One counted reference to a connection.
@safe private struct ConnectionReference: ~Copyable {
    let pointer: OpaquePointer

    deinit {
        _ = unsafe virConnectClose(pointer)
    }
}
