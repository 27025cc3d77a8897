/// What a swap needs of a hypervisor; libvirt's calls under libvirt's names.
///
/// Every call names its domain by UUID, so that it survives a re-connection between two calls. A call that only reads waits for a
/// lost connection and is made again; one that changes something throws `connectionLost`, since it may have been carried out.
package protocol Hypervisor: Sendable {
    /// `libvirt` or `dry-run`: said in every result.
    var kind: String { get }

    /// Returns when calls can be made: at once, or after the connection came back.
    func waitUntilConnected() async

    /// `virDomainLookupByUUIDString`, else `virDomainLookupByName`.
    func lookup(_ instance: InstanceReference) async throws(HypervisorError) -> DomainIdentity
    func status(_ domain: DomainIdentity) async throws(HypervisorError) -> DomainStatus
    /// `virDomainGetXMLDesc`, with its secrets.
    func xml(_ domain: DomainIdentity, _ view: XMLView) async throws(HypervisorError) -> String
    /// ``xml(_:_:)``, read.
    func description(_ domain: DomainIdentity, _ view: XMLView) async throws(HypervisorError) -> DomainDescription
    /// `virDomainDefineXMLFlags`
    func define(xml: String) async throws(HypervisorError)
    /// `virDomainUndefineFlags`, NVRAM and vTPM state kept.
    func undefine(_ domain: DomainIdentity) async throws(HypervisorError)
    /// `virDomainGetAutostart`
    func isAutostarted(_ domain: DomainIdentity) async throws(HypervisorError) -> Bool
    /// `virDomainSetAutostart`, on.
    func setAutostart(_ domain: DomainIdentity) async throws(HypervisorError)
    /// pivotd's own metadata element on the live domain; nil removes it.
    func setRecoveryMetadata(_ domain: DomainIdentity, _ element: String?) async throws(HypervisorError)
    func recoveryMetadata(_ domain: DomainIdentity) async throws(HypervisorError) -> String?

    /// `virDomainBlockRebase` with COPY | REUSE_EXT.
    func blockRebase(_ domain: DomainIdentity, disk: String, _ copy: RebaseCopy) async throws(HypervisorError)
    /// `virDomainBlockCopy` with REUSE_EXT | TRANSIENT_JOB.
    func blockCopy(_ domain: DomainIdentity, disk: String, _ copy: BlockCopy) async throws(HypervisorError)
    /// `virDomainGetBlockJobInfo`; nil when no job is on the disk.
    func blockJobInfo(_ domain: DomainIdentity, disk: String) async throws(HypervisorError) -> BlockJobInfo?
    /// `virDomainBlockJobAbort` with ASYNC, with PIVOT or without: returns when the request was taken. The end comes with an event, and
    /// until then the live configuration shows `<mirror ready='pivot'>` or `'abort'`.
    func blockJobAbort(_ domain: DomainIdentity, disk: String, pivot: Bool) async throws(HypervisorError)
    /// Ends a cancel that hangs, past libvirt: QEMU's `block-job-cancel` with force, and `yank` for the socket of an nbd destination.
    /// Does nothing where the monitor must not be asked, or no copy is under way.
    func forceAbort(_ domain: DomainIdentity, disk: String) async throws(HypervisorError)
    /// `virDomainBlockJobSetSpeed`, bytes/s, 0 is unlimited.
    func blockJobSetSpeed(_ domain: DomainIdentity, disk: String, bytesPerSecond: Int64) async throws(HypervisorError)
    /// The size the guest sees, in bytes (`virDomainGetBlockInfo`'s capacity).
    func capacity(_ domain: DomainIdentity, disk: String) async throws(HypervisorError) -> Int64
    /// The whole size in bytes of the volume that a running copy writes to, where QEMU tells.
    func mirrorCapacity(_ domain: DomainIdentity, disk: String) async throws(HypervisorError) -> Int64?
    /// Takes the window away that a copy onto a larger volume was shown: QEMU's `blockdev-reopen` without it, after the pivot. The guest
    /// keeps its size until a later `virDomainBlockResize`, which fails as long as there is a window.
    ///
    /// - Returns: true when libvirt's live configuration names the window all the same. A managed save, a saved file and a migration go
    ///   by that, and so bring the old size back.
    func dropSlice(_ domain: DomainIdentity, disk: String) async throws(HypervisorError) -> Bool
    /// Lets the live disk use all of its volume: QEMU's `blockdev-reopen` without the slice, then `virDomainBlockResize`.
    func grow(_ domain: DomainIdentity, disk: String, toBytes: Int64) async throws(HypervisorError)
    /// Keeps the running copy from allocating zeroes on the new volume: QEMU's `blockdev-reopen` with `detect-zeroes=unmap`.
    ///
    /// - Parameter sliceBytes: the window of a larger volume that the copy is shown.
    func unmapZeroes(_ domain: DomainIdentity, disk: String, sliceBytes: Int64?) async throws(HypervisorError)
    /// Whether QEMU runs the disk on another volume than libvirt's live configuration says.
    ///
    /// A libvirtd that dies between QEMU's pivot and its own note of it comes back with the old volume in its configuration. nil
    /// when that cannot be told, because the monitor must not be asked.
    func hasPivotedUnnoticed(_ domain: DomainIdentity, disk: String) async throws(HypervisorError) -> Bool?
    /// After ``hasPivotedUnnoticed(_:disk:)``: mirrors the disk back onto the volume that libvirt names, so that both agree again.
    func mirrorBack(_ domain: DomainIdentity, disk: String) async throws(HypervisorError)
    /// Whether `grow` can work here: QEMU 7.0 or later, and the monitor allowed.
    func growSupport() async throws(HypervisorError) -> GrowSupport
    /// True when undefining keeps the vTPM's state (libvirt 8.9 or later).
    func keepsTPMState() async throws(HypervisorError) -> Bool

    /// Every domain of the host, running or not, for the question whether a volume is in use. A running persistent domain comes twice:
    /// as it runs and as it is stored.
    ///
    /// - Throws: ``HypervisorError`` naming the domain whose configuration could not be read: what it uses is not known.
    func domains() async throws(HypervisorError) -> [DomainDescription]
    /// Posts a domain's events to the mailbox until it is closed, over re-connections too. A second call for the same mailbox does nothing.
    func subscribe(_ events: HypervisorEvents, to domain: DomainIdentity) async throws(HypervisorError)

    /// The UUID of the secret with that usage, if libvirt has one (`virSecretLookupByUsage`).
    func secret(usageType: String, usage: String) async throws(HypervisorError) -> String?
    func hasSecret(uuid: String) async throws(HypervisorError) -> Bool
    /// Defines a secret from XML and sets its value.
    func makeSecret(xml: String, uuid: String, value: [UInt8]) async throws(HypervisorError)
    func removeSecret(uuid: String) async throws(HypervisorError)

    /// What the host says of a path; nil when nothing is there.
    func inspect(path: String) async throws(HypervisorError) -> PathDescription?
    /// Where the guest's bytes begin in a LUKS volume of version 1, the one that QEMU opens; nil when the path holds no such header
    /// or it cannot be read.
    func luksPayloadOffset(path: String) async throws(HypervisorError) -> Int64?

    // MARK: Which volume is which

    /// What a path is, found without opening anything: links are followed by name, and what they lead to is only asked for its status.
    func look(at path: String, of owner: PathOwner) async -> PathAnswer
    /// The addresses of a host's name, each in one spelling, those of this host as `loopback`; empty when it does not resolve in time.
    func addresses(ofHost name: String) async -> [String]
    /// Whether the host itself uses a block device: mounted, swap, or a member of a mapped device (`open` with `O_EXCL`).
    func isHeldByHost(path: String) async throws(HypervisorError) -> Bool
    /// The UUID in the LUKS header that a path begins with, empty where the header has none; nil when there is no such header.
    func luksUUID(path: String) async throws(HypervisorError) -> String?
    /// Whether libvirt has a secret of usage type volume for a volume that nobody called encrypted.
    func hasPassphrase(volumeID: String) async throws(HypervisorError) -> Bool
}

extension Hypervisor {
    package func description(_ domain: DomainIdentity, _ view: XMLView) async throws(HypervisorError) -> DomainDescription {
        let text = try await xml(domain, view)
        do {
            return try DomainDescription(xml: text)
        } catch {
            throw HypervisorError(.other, error.reason)
        }
    }

    package func isAutostarted(_ domain: DomainIdentity) async throws(HypervisorError) -> Bool { false }
    package func setAutostart(_ domain: DomainIdentity) async throws(HypervisorError) {}
    package func unmapZeroes(_ domain: DomainIdentity, disk: String, sliceBytes: Int64?) async throws(HypervisorError) {}

    package func forceAbort(_ domain: DomainIdentity, disk: String) async throws(HypervisorError) {}
    package func dropSlice(_ domain: DomainIdentity, disk: String) async throws(HypervisorError) -> Bool { false }
    package func hasPivotedUnnoticed(_ domain: DomainIdentity, disk: String) async throws(HypervisorError) -> Bool? { false }
    package func mirrorBack(_ domain: DomainIdentity, disk: String) async throws(HypervisorError) {}

    /// The domain's status, nil when the hypervisor does not know it any more.
    func statusIfKnown(_ domain: DomainIdentity) async throws(HypervisorError) -> DomainStatus? {
        do {
            return try await status(domain)
        } catch {
            if error.code == .noDomain { return nil }
            throw error
        }
    }
}

package struct DomainIdentity: Sendable, Hashable, Codable {
    package var uuid: String
    package var name: String

    package init(uuid: String, name: String) {
        self.uuid = uuid
        self.name = name
    }
}

package struct DomainStatus: Sendable, Hashable {
    /// `virDomainIsActive`: running or paused.
    package var isActive: Bool
    package var isPersistent: Bool
    package var hasSnapshots: Bool
    package var hasCheckpoints: Bool
    package var hasManagedSave: Bool

    package init(
        isActive: Bool, isPersistent: Bool, hasSnapshots: Bool = false, hasCheckpoints: Bool = false, hasManagedSave: Bool = false
    ) {
        self.isActive = isActive
        self.isPersistent = isPersistent
        self.hasSnapshots = hasSnapshots
        self.hasCheckpoints = hasCheckpoints
        self.hasManagedSave = hasManagedSave
    }
}

package enum XMLView: Sendable {
    /// What runs.
    case live
    /// What is stored for the next start (`VIR_DOMAIN_XML_INACTIVE`).
    case inactive
}

/// Arguments of `virDomainBlockRebase`.
package struct RebaseCopy: Sendable, Hashable {
    package var path: String
    /// bytes/s, 0 is unlimited.
    package var bandwidth: Int64
    /// VIR_DOMAIN_BLOCK_REBASE_COPY_DEV
    package var isBlockDevice: Bool
    /// VIR_DOMAIN_BLOCK_REBASE_COPY_RAW
    package var isRaw: Bool
}

/// Arguments of `virDomainBlockCopy`.
package struct BlockCopy: Sendable, Hashable {
    package var destination: VolumeSource
    /// Shows QEMU only the first bytes of a larger volume, as it copies between equal sizes alone.
    package var sliceBytes: Int64?
    /// bytes/s, 0 is unlimited.
    package var bandwidth: Int64
    /// Bytes, 0 is QEMU's default.
    package var granularity: Int64
    /// Bytes, 0 is QEMU's default.
    package var bufferSize: Int64
    package var synchronousWrites: Bool
}

package struct BlockJobInfo: Sendable, Hashable {
    /// libvirt's job type: `copy`, `pull`, `commit`, `active-commit`, `backup`.
    package var type: String
    /// Bytes, in QEMU's own measure: guest writes add to both.
    package var cursor: Int64
    package var end: Int64
    /// Its limit, bytes/s; 0 for none.
    package var bandwidth: Int64

    package init(type: String, cursor: Int64, end: Int64, bandwidth: Int64 = 0) {
        self.type = type
        self.cursor = cursor
        self.end = end
        self.bandwidth = bandwidth
    }

    package var isCopy: Bool { type == "copy" }
    package var remaining: Int64 { max(0, end - cursor) }
}

package enum GrowSupport: Sendable, Hashable {
    case supported
    /// The reason, for an operator.
    case unsupported(String)
}
