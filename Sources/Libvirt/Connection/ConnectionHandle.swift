import Basics
import CLibvirt
import Dispatch
import Logging
import Synchronization

/// Owns a `virConnectPtr`, the callbacks registered on it and the threads for its calls.
///
/// Each running call holds a libvirt reference, so that closing never frees what another thread uses.
final class ConnectionHandle: Sendable {
    @safe struct State: @unchecked Sendable {
        var pointer: OpaquePointer?
        var registrations: [Registration] = []

        mutating func take() -> State {
            defer { unsafe self = State(pointer: nil) }
            return self
        }

        /// Deregisters and drops the reference. Blocks, since dropping the last one closes the connection to a remote libvirt.
        func release() {
            guard let pointer = unsafe pointer else { return }
            for registration in registrations {
                unsafe registration.remove(from: pointer)
            }
            _ = unsafe virConnectClose(pointer)
        }
    }

    let hub = EventHub()
    let pool: CallPool
    /// The secret driver that accompanies an embedded hypervisor driver.
    private let secrets: ConnectionHandle?
    private let state: Mutex<State>
    private let watchdog = Mutex<Watchdog?>(nil)

    /// Number of attempts to connect that were given up and still wait for libvirt, by URI. A thread in `virConnectOpen` cannot be ended:
    /// a frozen libvirtd must not cost one for each attempt.
    private static let unanswered = Mutex<[String: Unanswered]>([:])
    static func unansweredAttempts(to uri: String) -> Unanswered { unanswered.withLock { $0[uri, default: Unanswered()] } }

    /// Opens a connection and registers its callbacks on a thread of a new pool.
    ///
    /// - Throws: ``LibvirtError``; `VIR_ERR_NO_CONNECT` if the other side accepts the connection but does not respond.
    static func open(
        uri: String, secrets: ConnectionHandle? = nil, events: Bool, watched: Bool, within limit: DispatchTimeInterval?,
        logger: Logger
    ) async throws(LibvirtError) -> ConnectionHandle {
        let pool = CallPool()
        let opened = Waiter<Result<ConnectionHandle, LibvirtError>>()
        guard unanswered.withLock({ $0[uri, default: Unanswered()].mayTry(at: .now) }) else { throw .noAnswer }
        pool.submit {
            let result = Result { () throws(LibvirtError) in
                try ConnectionHandle(uri: uri, secrets: secrets, events: events, pool: pool, logger: logger)
            }
            if !opened.resume(result) { unanswered.withLock { $0[uri]?.end() } }
        }
        if let limit {
            DispatchQueue.global().asyncAfter(deadline: .now() + limit) {
                if opened.resume(.failure(.noAnswer)) { unanswered.withLock { $0[uri, default: Unanswered()].begin(at: .now) } }
            }
        }
        switch await opened.value() {
        case .success(let handle):
            if watched { handle.watch() }
            return handle
        case .failure(let error):
            pool.stop()
            throw error
        }
    }

    private init(
        uri: String, secrets: ConnectionHandle?, events: Bool, pool: CallPool, logger: Logger
    ) throws(LibvirtError) {
        guard let pointer = unsafe virConnectOpen(uri) else { throw LibvirtError.last() }
        self.pool = pool
        self.secrets = secrets
        let registrations = unsafe Registration.all(on: pointer, events: events, hub: hub, logger: logger)
        state = Mutex(unsafe State(pointer: pointer, registrations: registrations))
    }

    /// Closes the connection if the other side is silent for half a minute.
    private func watch() {
        let dog = Watchdog(
            question: { [weak self] in
                _ = try? self?.withPointer { (connection) throws(LibvirtError) in
                    var version: UInt = 0
                    try check(unsafe virConnectGetLibVersion(connection, &version))
                }
            }, silence: { [hub] in hub.close(.keepalive) })
        watchdog.withLock { $0 = dog }
        _ = hub.whenClosed { _ in dog.stop() }
    }

    deinit {
        let left = state.withLock { $0.take() }
        pool.submit { left.release() }
        pool.stop()
        hub.close(.client)
    }

    /// Runs a blocking call with the pointer on a thread of the pool; the end of the connection also ends the wait.
    ///
    /// - Throws: ``LibvirtError``: `VIR_ERR_INVALID_CONN` after `close()`, else what the call throws.
    @safe func call<Value: Sendable>(
        _ body: @escaping @Sendable (OpaquePointer) throws(LibvirtError) -> Value
    ) async throws(LibvirtError) -> Value {
        let result = Waiter<Result<Value, LibvirtError>>()
        let number = hub.whenClosed { result.resume(.failure(.lost($0))) }
        pool.submit {
            guard !result.isResumed else { return }
            result.resume(Result { () throws(LibvirtError) in try self.withPointer(body) })
            self.hub.forget(number)
        }
        return try await result.value().get()
    }

    /// Deregisters the callbacks and drops the connection, waiting at most `limit` for the other side.
    ///
    /// The transport itself closes with the connection's last domain and secret.
    func close(within limit: DispatchTimeInterval) async {
        hub.close(.client)
        let closed = Waiter<Void>()
        pool.submit {
            self.state.withLock { $0.take() }.release()
            closed.resume()
        }
        DispatchQueue.global().asyncAfter(deadline: .now() + limit) { closed.resume() }
        await closed.value()
    }

    /// Runs a blocking call with the pointer on the calling thread.
    @safe private func withPointer<Value>(
        _ body: (OpaquePointer) throws(LibvirtError) -> Value
    ) throws(LibvirtError) -> Value {
        guard let secrets else { return try withOwnPointer(body) }
        let reference = try secrets.reference()
        return unsafe try EmbeddedSecrets.with(reference.pointer) { () throws(LibvirtError) in try withOwnPointer(body) }
    }

    @safe private func withOwnPointer<Value>(
        _ body: (OpaquePointer) throws(LibvirtError) -> Value
    ) throws(LibvirtError) -> Value {
        let reference = try reference()
        do throws(LibvirtError) {
            return unsafe try body(reference.pointer)
        } catch {
            if error.isConnectionLost, unsafe virConnectIsAlive(reference.pointer) != 1 {
                hub.close(error.closeReason)
            }
            throw error
        }
    }

    private func reference() throws(LibvirtError) -> ConnectionReference {
        try state.withLock { (state) throws(LibvirtError) in
            guard let pointer = unsafe state.pointer else { throw LibvirtError.lost(.client) }
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

extension LibvirtError {
    /// The error of a call on an ended connection.
    static func lost(_ reason: CloseReason) -> LibvirtError {
        guard reason != .client else {
            return LibvirtError(
                code: Int32(VIR_ERR_INVALID_CONN.rawValue), domain: Int32(VIR_FROM_NONE.rawValue),
                message: "connection is closed")
        }
        return LibvirtError(
            code: Int32(VIR_ERR_INTERNAL_ERROR.rawValue), domain: Int32(VIR_FROM_RPC.rawValue),
            message: "connection to libvirt lost: \(reason)")
    }

    fileprivate static var noAnswer: LibvirtError {
        LibvirtError(
            code: Int32(VIR_ERR_NO_CONNECT.rawValue), domain: Int32(VIR_FROM_RPC.rawValue),
            message: "libvirt accepts connections and does not answer")
    }

    /// The close reason that libvirt's client would give for this failure of its transport.
    fileprivate var closeReason: CloseReason {
        message.contains("keepalive") ? .keepalive : message.contains("Cannot recv data") ? .endOfFile : .error
    }
}
