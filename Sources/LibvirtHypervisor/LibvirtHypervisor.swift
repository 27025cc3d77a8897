import Libvirt
package import Logging
package import VolumeSwap

/// ``Hypervisor`` over libvirt, and over QEMU's monitor (`QMP/`) where libvirt has no call.
///
/// Every call throws ``HypervisorError`` with libvirt's own error number and message: `noDomain` if the domain is gone,
/// `busy` if it or libvirt does not respond in time, `connectionLost` if libvirt cannot be reached.
package struct LibvirtHypervisor: Hypervisor {
    /// The connection for look-ups and events.
    package let link: LibvirtLink
    /// For calls that a hung guest may block: one at a time for each domain.
    let calls: DomainCalls
    /// For the configurations of domains that hang, one at a time for each: those of all domains, for which others may wait, and those of
    /// one.
    let liveReads, storedReads, singleReads: DomainCalls
    let kept = KeptDescriptions()
    let parsed = ParsedDescriptions()
    let allowsMonitorCommands: Bool
    let lastAnswer = LastQEMUAnswer()
    let clock: any SwapClock
    let logger: Logger
    let host = HostPaths()

    /// - Parameter allowsMonitorCommands: Whether `virDomainQemuMonitorCommand` may be used. It marks the domain as tainted
    ///   (`custom-monitor`) in libvirt's log.
    package init(link: LibvirtLink, allowsMonitorCommands: Bool, clock: any SwapClock = SystemClock(), logger: Logger) {
        self.link = link
        self.allowsMonitorCommands = allowsMonitorCommands
        self.clock = clock
        self.logger = logger
        calls = DomainCalls(clock: clock, logger: logger)
        var limits = DomainCalls.Limits()
        // Others wait for one that libvirt gives after 30 s.
        limits.patience = .seconds(45)
        // Whoever holds the lock is what the log is to name.
        var silent = logger
        silent.logLevel = .error
        liveReads = DomainCalls(limits: limits, clock: clock, logger: silent)
        storedReads = DomainCalls(limits: limits, clock: clock, logger: silent)
        singleReads = DomainCalls(clock: clock, logger: silent)
    }

    package var kind: String { "libvirt" }
    package var isOnThisHost: Bool { LibvirtConnection.isLocal(link.uri) }
    package var isConnected: Bool { link.isConnected }

    package func waitUntilConnected() async { _ = try? await link.connection() }

    /// `virDomainLookupByUUIDString`, then `virDomainLookupByName`.
    package func lookup(_ instance: InstanceReference) async throws(HypervisorError) -> DomainIdentity {
        try await read("domainLookup") { (connection) throws(LibvirtError) in
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

    /// `virDomainIsActive`, `virDomainIsPersistent`
    package func status(_ domain: DomainIdentity) async throws(HypervisorError) -> DomainStatus {
        try await reading(domain, "domainIsActive") { (domain) throws(LibvirtError) in
            DomainStatus(isActive: try await domain.isActive(), isPersistent: try await domain.isPersistent())
        }
    }

    /// `virDomainGetID`, which begins again with the host: the kernel's `boot_id` tells its boots apart, unless it is another one.
    package func life(_ domain: DomainIdentity) async throws(HypervisorError) -> String? {
        // Known handles keep the id of their look-up.
        let id = try await read("domainLookup") { (connection) throws(LibvirtError) in
            try await connection.domain(uuid: domain.uuid).id
        }
        guard let id else { return nil }
        return isOnThisHost ? "\(id) in boot \(HostFiles.bootID)" : "\(id)"
    }

    /// `virDomainHasManagedSaveImage`, `virDomainSnapshotNum`, `virDomainListAllCheckpoints`
    package func savedStates(_ domain: DomainIdentity) async throws(HypervisorError) -> SavedStates {
        try await reading(domain, "snapshotNum") { (domain) throws(LibvirtError) in
            var saved = SavedStates()
            saved.hasManagedSave = try await domain.hasManagedSaveImage()
            saved.hasSnapshots = try await domain.snapshotCount() > 0
            do throws(LibvirtError) {
                saved.hasCheckpoints = try await domain.checkpointCount() > 0
            } catch {
                guard error.isUnsupported || error.isOperationInvalid else { throw error }
            }
            return saved
        }
    }

    /// `virDomainDefineXMLFlags`
    package func define(xml: String) async throws(HypervisorError) {
        try await write("defineXML") { (connection) throws(LibvirtError) in
            _ = try await connection.defineDomain(xml: xml)
        }
    }

    /// `virDomainUndefineFlags` with `KEEP_NVRAM`, and with `KEEP_TPM` if libvirt knows it.
    package func undefine(_ domain: DomainIdentity) async throws(HypervisorError) {
        let keepsTPM = try await keepsTPMState()
        try await writing(domain, "undefine") { (domain) throws(LibvirtError) in
            try await domain.undefine(keepsNVRAM: true, keepsTPM: keepsTPM)
        }
    }

    /// `virDomainGetAutostart`
    package func isAutostarted(_ domain: DomainIdentity) async throws(HypervisorError) -> Bool {
        try await reading(domain, "getAutostart") { (domain) throws(LibvirtError) in try await domain.isAutostarted() }
    }

    /// `virDomainSetAutostart`
    package func setAutostart(_ domain: DomainIdentity) async throws(HypervisorError) {
        try await writing(domain, "setAutostart") { (domain) throws(LibvirtError) in try await domain.setAutostart(true) }
    }

    /// `virDomainSetMetadata` on the stored configuration, which removes nothing: libvirt writes the file, without a chance for anybody
    /// else's changes to be lost.
    package func saveDefinition(_ domain: DomainIdentity) async throws(HypervisorError) {
        try await writing(domain, "setMetadata") { (domain) throws(LibvirtError) in
            try await domain.setMetadata(nil, key: "pivotd", uri: Self.metadataURI, isStored: true)
        }
    }

    /// `virDomainSetMetadata` on the live domain, in pivotd's namespace.
    package func setRecoveryMetadata(_ domain: DomainIdentity, _ element: String?) async throws(HypervisorError) {
        try await writing(domain, "setMetadata") { (domain) throws(LibvirtError) in
            do throws(LibvirtError) {
                try await domain.setMetadata(element, key: "pivotd", uri: Self.metadataURI)
            } catch {
                guard element == nil, error.isNoDomainMetadata else { throw error }
            }
        }
    }

    /// `virDomainGetMetadata`, in pivotd's namespace.
    package func recoveryMetadata(_ domain: DomainIdentity) async throws(HypervisorError) -> String? {
        try await reading(domain, "getMetadata") { (domain) throws(LibvirtError) in
            try await domain.metadata(uri: Self.metadataURI)
        }
    }

    /// `virDomainGetBlockInfo`
    package func capacity(_ domain: DomainIdentity, disk: String) async throws(HypervisorError) -> Int64 {
        try await asking(domain, "blockInfo") { (domain) throws(LibvirtError) in
            Int64(clamping: try await domain.blockCapacity(disk: disk))
        }
    }

    /// `virDomainBlockStatsFlags`
    package func blockStatistics(_ domain: DomainIdentity, disk: String) async throws(HypervisorError) -> DiskStatistics {
        let counters = try await asking(domain, "blockStatsFlags") { (domain) throws(LibvirtError) in
            try await domain.blockStatistics(disk: disk)
        }
        return DiskStatistics(requests: counters.requests, nanoseconds: counters.nanoseconds)
    }

    package func versions() async throws(HypervisorError) -> HypervisorVersions {
        try await read("getVersion") { (connection) throws(LibvirtError) in
            HypervisorVersions(
                libvirt: HypervisorVersions.text(try await connection.libraryVersion()),
                qemu: HypervisorVersions.text(try await connection.hypervisorVersion()))
        }
    }

    // MARK: What this host knows about volumes

    package func inspect(path: String) async throws(HypervisorError) -> PathDescription? { try await host.inspect(path) }

    package func luksPayloadOffset(path: String) async throws(HypervisorError) -> Int64? {
        try await host.luksPayloadOffset(path)
    }

    package func imageBytes(path: String) async throws(HypervisorError) -> Int64? { try await host.imageBytes(path) }

    package func look(at path: String, of owner: PathOwner) async -> PathAnswer { await host.look(at: path, of: owner) }

    package func addresses(ofHost name: String) async -> [String] { await HostAddresses().addresses(of: name) }

    package func isHeldByHost(path: String) async throws(HypervisorError) -> Bool { try await host.isHeld(path) }

    package func hostUse(path: String) async throws(HypervisorError) -> HostUse? { try await host.use(of: path) }

    package func filesInUse() async throws(HypervisorError) -> [HostFile] { try await host.filesInUse() }

    package func hostDevices(of networkProtocol: String) async throws(HypervisorError) -> [String] {
        try await host.networkDevices(of: networkProtocol)
    }

    package func scsiDisk(at address: SCSIAddress) async throws(HypervisorError) -> String? {
        try await host.scsiDisk(at: address)
    }

    package func backingFile(of path: String) async -> BackingAnswer { await host.backingFile(of: path) }

    package func luksUUID(path: String) async throws(HypervisorError) -> String? { try await host.luksUUID(path) }

    /// The namespace of pivotd's element in a domain's metadata.
    private static let metadataURI = "urn:pivotd:swap:1"
}
