import Basics
import Libvirt
import VolumeSwap

/// The ways of a call to libvirt.
///
/// Look-ups, configurations and definitions need neither QEMU nor the domain's job lock and are answered while a domain hangs: they go
/// over the connection that events arrive on. Everything else goes through ``DomainCalls`` over ``CallConnections``. Every call can be
/// given up by cancelling its task, and throws `busy` once its time limit has passed.
extension LibvirtHypervisor {
    /// How long a look-up may take; a libvirtd that gives no sign of life loses its connection before.
    private static let lookUpLimit = Duration.seconds(60)
    /// A little longer than libvirt waits for a domain's job lock.
    private static let callLimit = Duration.seconds(35)
    /// The start of a copy opens the new volume, which a storage cluster may take long for.
    static let startLimit = Duration.seconds(120)

    /// The domains that do not answer, longest first.
    package var hungDomains: [HungDomain] { calls.hungDomains }

    /// A look-up: made again when the connection was lost under it.
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

    /// A change without QEMU; not made again.
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

    /// ``read(_:_:)`` of one domain.
    func reading<Value: Sendable>(
        _ identity: DomainIdentity, _ name: String,
        _ body: @escaping @Sendable (LibvirtDomain) async throws(LibvirtError) -> Value
    ) async throws(HypervisorError) -> Value {
        try await read(name) { (connection) throws(LibvirtError) in
            try await body(try await connection.domain(uuid: identity.uuid))
        }
    }

    /// A question that QEMU answers: made again when the connection was lost under it.
    func asking<Value: Sendable>(
        _ identity: DomainIdentity, _ name: String,
        _ body: @escaping @Sendable (LibvirtDomain) async throws(LibvirtError) -> Value
    ) async throws(HypervisorError) -> Value {
        while true {
            do throws(HypervisorError) {
                return try await writing(identity, name, body)
            } catch {
                guard error.code == .connectionLost else { throw error }
            }
        }
    }

    /// A change of a domain, or a monitor command; not made again.
    func writing<Value: Sendable>(
        _ identity: DomainIdentity, _ name: String, within limit: Duration = callLimit,
        _ body: @escaping @Sendable (LibvirtDomain) async throws(LibvirtError) -> Value
    ) async throws(HypervisorError) -> Value {
        let connections = link.calls
        return try await calls.make(name, on: identity, within: limit) { () async throws(HypervisorError) in
            try await lease()
        } _: { lease in
            defer { connections.release(lease) }
            return await Result(of: { () async throws(HypervisorError) in
                do throws(LibvirtError) {
                    return try await body(try await lease.connection.domain(uuid: identity.uuid))
                } catch {
                    throw HypervisorError(error)
                }
            })
        }
    }

    private func lease() async throws(HypervisorError) -> CallConnections.Lease {
        while true {
            let primary = try await connected()
            do throws(HypervisorError) {
                return try await link.calls.lease(primary, patience: .seconds(5))
            } catch {
                guard error.code == .connectionLost else { throw error }
                // Either libvirt is gone, which the first connection may not have heard yet, or it takes no more connections.
                let isThere = try? await lookUp("getLibVersion", primary) { (connection) throws(LibvirtError) in
                    try await connection.libraryVersion()
                }
                if isThere != nil { throw HypervisorError(.busy, "libvirt takes no further connection: \(error.message)") }
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
            throw HypervisorError(.other, "pivotd is stopping")
        }
    }
}

extension Result {
    /// What an asynchronous call returns or throws.
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
