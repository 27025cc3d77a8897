import Basics
import Libvirt
import VolumeSwap

/// How calls reach libvirt.
///
/// Look-ups and definitions need neither QEMU nor the domain's job lock, so they use the connection that events arrive on.
/// Everything else goes through ``DomainCalls`` over ``CallConnections``. Cancelling the task ends the wait for a call, and every call
/// throws `busy` after its time limit.
extension LibvirtHypervisor {
    /// How long a look-up may take; the connection to a silent libvirtd is closed sooner.
    private static let lookUpLimit = Duration.seconds(60)
    /// A little longer than libvirt waits for a domain's job lock.
    static let callLimit = Duration.seconds(35)
    /// Starting a copy opens the new volume, which can take long on a storage cluster.
    static let startLimit = Duration.seconds(120)

    /// The domains that do not respond, longest first.
    package var hungDomains: [HungDomain] { calls.hungDomains }

    /// Makes a look-up; retries it if the connection was lost during it.
    func read<Value: Sendable>(
        _ name: String, _ body: @escaping @Sendable (LibvirtConnection) async throws(LibvirtError) -> Value
    ) async throws(HypervisorError) -> Value {
        while true {
            let connection = try await connected()
            do throws(HypervisorError) {
                return try await lookUp(name, connection, body)
            } catch {
                guard error.code == .connectionLost else { throw error }
                await link.report(broken: connection)
            }
        }
    }

    /// Makes a change that does not involve QEMU; never retried.
    func write<Value: Sendable>(
        _ name: String, _ body: @escaping @Sendable (LibvirtConnection) async throws(LibvirtError) -> Value
    ) async throws(HypervisorError) -> Value {
        let connection = try await connected()
        do throws(HypervisorError) {
            return try await lookUp(name, connection, body)
        } catch {
            if error.code == .connectionLost { await link.report(broken: connection) }
            throw error
        }
    }

    /// ``read(_:_:)`` for a single domain.
    func reading<Value: Sendable>(
        _ identity: DomainIdentity, _ name: String,
        _ body: @escaping @Sendable (LibvirtDomain) async throws(LibvirtError) -> Value
    ) async throws(HypervisorError) -> Value {
        try await read(name) { (connection) throws(LibvirtError) in
            try await body(try await connection.knownDomain(uuid: identity.uuid))
        }
    }

    /// Asks something that a hung guest may hold up; retries it if the connection was lost during it.
    func asking<Value: Sendable>(
        _ identity: DomainIdentity, _ name: String, over route: CallRoute? = nil,
        _ body: @escaping @Sendable (LibvirtDomain) async throws(LibvirtError) -> Value
    ) async throws(HypervisorError) -> Value {
        var backoff = Backoff(first: .milliseconds(50), longest: .seconds(5))
        while true {
            do throws(HypervisorError) {
                return try await writing(identity, name, over: route, body)
            } catch {
                // Bounded back-off: the next connection may be lost like this one.
                guard error.code == .connectionLost, (try? await clock.sleep(for: backoff.pause())) != nil else { throw error }
            }
        }
    }

    /// Changes a domain or sends a monitor command; never retried.
    func writing<Value: Sendable>(
        _ identity: DomainIdentity, _ name: String, within limit: Duration = callLimit, over route: CallRoute? = nil,
        _ body: @escaping @Sendable (LibvirtDomain) async throws(LibvirtError) -> Value
    ) async throws(HypervisorError) -> Value {
        let route = route ?? CallRoute(calls: calls, connections: link.calls, patience: .seconds(5))
        return try await route.calls.make(name, on: identity, within: limit) { () async throws(HypervisorError) in
            try await lease(route)
        } _: { lease in
            defer { route.connections.release(lease) }
            return await Result(of: { () async throws(HypervisorError) in
                do throws(LibvirtError) {
                    return try await body(try await lease.connection.knownDomain(uuid: identity.uuid))
                } catch {
                    throw HypervisorError(error)
                }
            })
        }
    }

    private func lease(_ route: CallRoute) async throws(HypervisorError) -> CallConnections.Lease {
        while true {
            let primary = try await connected()
            do throws(HypervisorError) {
                return try await route.connections.lease(primary, patience: route.patience)
            } catch {
                guard error.code == .connectionLost else { throw error }
                // Either libvirt is gone, which the first connection may not have noticed yet, or it accepts no more connections.
                let isThere = try? await lookUp("getLibVersion", primary) { (connection) throws(LibvirtError) in
                    try await connection.libraryVersion()
                }
                if isThere != nil { throw HypervisorError(.busy, "libvirt accepts no further connection: \(error.message)") }
                await link.report(broken: primary)
            }
        }
    }

    private func lookUp<Value: Sendable>(
        _ name: String, _ connection: LibvirtConnection,
        _ body: @escaping @Sendable (LibvirtConnection) async throws(LibvirtError) -> Value
    ) async throws(HypervisorError) -> Value {
        let answer = CallAnswer<Value>()
        return try await answer.wait(
            atMost: Self.lookUpLimit, clock, else: "libvirt has not answered \(name) for \(Self.lookUpLimit.rounded)",
            ifCancelled: "\(name) was given up"
        ) {
            Task {
                let result = await Result(of: { () async throws(LibvirtError) in try await body(connection) })
                answer.resume(result.mapError { HypervisorError($0) })
            }
        }
    }

    private func connected() async throws(HypervisorError) -> LibvirtConnection {
        do throws(CancellationError) {
            return try await link.connection()
        } catch {
            throw HypervisorError(.busy, "pivotd is stopping")
        }
    }
}

/// The way of a call that may hang: whose turn it waits for, and over which connections.
struct CallRoute {
    let calls: DomainCalls
    let connections: CallConnections
    /// How long it waits for a place on a connection.
    let patience: Duration
}

extension Result {
    /// Captures what an asynchronous call returns or throws.
    init(of body: () async throws(Failure) -> Success) async {
        do {
            self = .success(try await body())
        } catch {
            self = .failure(error)
        }
    }
}

extension HypervisorError {
    init(_ error: LibvirtError) {
        let code: Code =
            if error.isConnectionLost {
                .connectionLost
            } else if error.isNoDomain {
                .noDomain
            } else if error.isBlockCopyActive {
                .notReady
            } else if error.isNoSecret {
                .noSecret
            } else if error.isUnsupported {
                .unsupported
            } else if error.isOperationTimeout {
                .busy
            } else if error.isOperationInvalid {
                error.message.contains("still being ended") ? .stillEnding : .operationInvalid
            } else {
                .other
            }
        self.init(code, number: Int(error.code), error.message)
    }
}
