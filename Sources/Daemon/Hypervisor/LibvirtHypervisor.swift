import Libvirt
package import Logging
package import VolumeSwap

/// ``Hypervisor`` over libvirt.
package struct LibvirtHypervisor: Hypervisor {
    package let link: LibvirtLink
    let allowsMonitorCommands: Bool
    let logger: Logger
    let host = HostPaths()

    package init(link: LibvirtLink, allowsMonitorCommands: Bool, logger: Logger) {
        self.link = link
        self.allowsMonitorCommands = allowsMonitorCommands
        self.logger = logger
    }

    package var kind: String { "libvirt" }

    package func waitUntilConnected() async { _ = try? await link.connection() }

    package func lookup(_ instance: InstanceReference) async throws(HypervisorError) -> DomainIdentity {
        try await read { (connection) throws(LibvirtError) in
            if let uuid = instance.uuid {
                do throws(LibvirtError) {
                    let domain = try await connection.domain(uuid: uuid)
                    return DomainIdentity(uuid: domain.uuid, name: domain.name)
                } catch {
                    guard error.isNoDomain, instance.name != nil else { throw error }
                }
            }
            let domain = try await connection.domain(name: instance.name ?? "")
            return DomainIdentity(uuid: domain.uuid, name: domain.name)
        }
    }

    package func status(_ domain: DomainIdentity) async throws(HypervisorError) -> DomainStatus {
        try await reading(domain) { (domain) throws(LibvirtError) in
            var status = DomainStatus(isActive: try await domain.isActive(), isPersistent: try await domain.isPersistent())
            guard status.isPersistent else { return status }
            status.hasManagedSave = try await domain.hasManagedSaveImage()
            status.hasSnapshots = try await domain.snapshotCount() > 0
            do throws(LibvirtError) {
                status.hasCheckpoints = try await domain.checkpointCount() > 0
            } catch {
                guard error.isUnsupported || error.isOperationInvalid else { throw error }
            }
            return status
        }
    }

    package func xml(_ domain: DomainIdentity, _ view: XMLView) async throws(HypervisorError) -> String {
        try await reading(domain) { (domain) throws(LibvirtError) in
            try await domain.xml(flags: view == .inactive ? [.secure, .inactive] : [.secure])
        }
    }

    package func define(xml: String) async throws(HypervisorError) {
        try await write { (connection) throws(LibvirtError) in _ = try await connection.defineDomain(xml: xml) }
    }

    package func undefine(_ domain: DomainIdentity) async throws(HypervisorError) {
        try await write { (connection) throws(LibvirtError) in
            var flags: DomainUndefineFlags = [.keepNVRAM]
            if try await connection.supportsKeepTPM() { flags.insert(.keepTPM) }
            try await connection.domain(uuid: domain.uuid).undefine(flags: flags)
        }
    }

    package func setRecoveryMetadata(_ domain: DomainIdentity, _ element: String?) async throws(HypervisorError) {
        try await writing(domain) { (domain) throws(LibvirtError) in
            do throws(LibvirtError) {
                try await domain.setMetadata(element, key: "pivotd", uri: Self.metadataURI, flags: [.live])
            } catch {
                guard element == nil, error.isNoDomainMetadata else { throw error }
            }
        }
    }

    package func recoveryMetadata(_ domain: DomainIdentity) async throws(HypervisorError) -> String? {
        try await reading(domain) { (domain) throws(LibvirtError) in
            try await domain.metadata(uri: Self.metadataURI, flags: [.live])
        }
    }

    package func capacity(_ domain: DomainIdentity, disk: String) async throws(HypervisorError) -> Int64 {
        try await reading(domain) { (domain) throws(LibvirtError) in
            Int64(clamping: try await domain.blockInfo(disk: disk).capacity)
        }
    }

    package func keepsTPMState() async throws(HypervisorError) -> Bool {
        try await read { (connection) throws(LibvirtError) in try await connection.supportsKeepTPM() }
    }

    package func domains() async throws(HypervisorError) -> [DomainDescription] {
        let texts = try await read { (connection) throws(LibvirtError) in
            var texts: [(name: String, xml: String, isLive: Bool)] = []
            for domain in try await connection.domains() {
                do throws(LibvirtError) {
                    let isActive = try await domain.isActive()
                    if isActive { texts.append((domain.name, try await domain.xml(), true)) }
                    if try await domain.isPersistent() {
                        texts.append((domain.name, try await domain.xml(flags: .inactive), false))
                    }
                } catch {
                    guard error.isNoDomain else { throw error }  // it has gone in between
                }
            }
            return texts
        }
        return try texts.map { (text) throws(HypervisorError) in
            do throws(SwapFailure) {
                var description = try DomainDescription(xml: text.xml)
                description.isLive = text.isLive
                return description
            } catch {
                throw HypervisorError(.other, "the configuration of \(text.name) cannot be read: \(error.reason)")
            }
        }
    }

    package func inspect(path: String) async throws(HypervisorError) -> PathDescription? { try await host.inspect(path) }

    package func luksPayloadOffset(path: String) async throws(HypervisorError) -> Int64? {
        try await host.luksPayloadOffset(path)
    }

    /// The namespace of pivotd's element in a domain's metadata.
    private static let metadataURI = "urn:pivotd:swap:1"
}

extension LibvirtHypervisor {
    /// A call that only reads: made again when the connection was lost under it.
    func read<Value: Sendable>(
        _ body: @Sendable (LibvirtConnection) async throws(LibvirtError) -> Value
    ) async throws(HypervisorError) -> Value {
        while true {
            let connection = try await connected()
            do throws(LibvirtError) {
                return try await body(connection)
            } catch {
                guard error.isConnectionLost else { throw HypervisorError(error) }
                await link.report(broken: connection)
            }
        }
    }

    func write<Value: Sendable>(
        _ body: @Sendable (LibvirtConnection) async throws(LibvirtError) -> Value
    ) async throws(HypervisorError) -> Value {
        let connection = try await connected()
        do throws(LibvirtError) {
            return try await body(connection)
        } catch {
            if error.isConnectionLost { await link.report(broken: connection) }
            throw HypervisorError(error)
        }
    }

    func reading<Value: Sendable>(
        _ identity: DomainIdentity, _ body: @Sendable (LibvirtDomain) async throws(LibvirtError) -> Value
    ) async throws(HypervisorError) -> Value {
        try await read { (connection) throws(LibvirtError) in try await body(try await connection.domain(uuid: identity.uuid)) }
    }

    func writing<Value: Sendable>(
        _ identity: DomainIdentity, _ body: @Sendable (LibvirtDomain) async throws(LibvirtError) -> Value
    ) async throws(HypervisorError) -> Value {
        try await write { (connection) throws(LibvirtError) in try await body(try await connection.domain(uuid: identity.uuid)) }
    }

    private func connected() async throws(HypervisorError) -> LibvirtConnection {
        do throws(CancellationError) {
            return try await link.connection()
        } catch {
            throw HypervisorError(.other, "pivotd is stopping")
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
