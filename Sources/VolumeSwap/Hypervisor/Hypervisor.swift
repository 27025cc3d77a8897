/// The hypervisor calls that a swap needs, under libvirt's names.
///
/// Each call names its domain by UUID, so it survives a reconnection between two calls. A read waits for a lost connection and
/// is repeated; a write throws `connectionLost`, since libvirt may have carried it out. All calls throw ``HypervisorError`` with
/// libvirt's code and message; members only mention what is special.
package protocol Hypervisor: Sendable {
    /// `libvirt` or `dry-run`, as shown in every result.
    var kind: String { get }
    /// Whether its guests run on this host, and end with it.
    var isOnThisHost: Bool { get }

    /// The versions of its parts.
    func versions() async throws(HypervisorError) -> HypervisorVersions
    /// What libvirt and QEMU can do, for an operator. A decision about a domain asks about that domain.
    func features() async throws(HypervisorError) -> HypervisorFeatures
    /// Returns as soon as the hypervisor is connected.
    func waitUntilConnected() async
    /// Whether it is connected now; without a connection nothing is known of its guests.
    var isConnected: Bool { get }

    /// Finds a domain by UUID, else by name (`virDomainLookupByUUIDString`, `virDomainLookupByName`).
    ///
    /// - Throws: ``HypervisorError`` of code `noDomain` if neither exists.
    func lookup(_ instance: InstanceReference) async throws(HypervisorError) -> DomainIdentity
    /// Whether the domain is active and persistent.
    ///
    /// - Throws: ``HypervisorError`` of code `noDomain` if it no longer exists.
    func status(_ domain: DomainIdentity) async throws(HypervisorError) -> DomainStatus
    /// What tells the domain's running guest from those before and after it, also over restarts of libvirt and of its host; nil if none
    /// runs, or they cannot be told apart.
    func life(_ domain: DomainIdentity) async throws(HypervisorError) -> String?
    /// What libvirt has saved of the domain.
    func savedStates(_ domain: DomainIdentity) async throws(HypervisorError) -> SavedStates
    /// `virDomainGetXMLDesc` with `VIR_DOMAIN_XML_SECURE`: passwords are included.
    func xml(_ domain: DomainIdentity, _ view: XMLView) async throws(HypervisorError) -> String
    /// The parsed form of ``xml(_:_:)``.
    func description(_ domain: DomainIdentity, _ view: XMLView) async throws(HypervisorError) -> DomainDescription
    /// Creates or replaces the stored configuration (`virDomainDefineXMLFlags`).
    func define(xml: String) async throws(HypervisorError)
    /// Removes the stored configuration (`virDomainUndefineFlags`), keeping NVRAM and vTPM state.
    func undefine(_ domain: DomainIdentity) async throws(HypervisorError)
    /// Whether the domain starts with the host (`virDomainGetAutostart`).
    func isAutostarted(_ domain: DomainIdentity) async throws(HypervisorError) -> Bool
    /// Turns autostart on (`virDomainSetAutostart`).
    func setAutostart(_ domain: DomainIdentity) async throws(HypervisorError)
    /// Has libvirt write the stored configuration to disk as it knows it. After a pivot it may know a configuration that it could not
    /// write, and would name the old volume again once it is restarted.
    func saveDefinition(_ domain: DomainIdentity) async throws(HypervisorError)
    /// Sets pivotd's own metadata element on the live domain (`virDomainSetMetadata`); nil removes it.
    func setRecoveryMetadata(_ domain: DomainIdentity, _ element: String?) async throws(HypervisorError)
    /// pivotd's own metadata element on the live domain (`virDomainGetMetadata`); nil if there is none.
    func recoveryMetadata(_ domain: DomainIdentity) async throws(HypervisorError) -> String?

    /// Whether the guest's CPUs run. Answers while the domain hangs.
    func guestState(_ domain: DomainIdentity) async throws(HypervisorError) -> GuestState
    /// Pauses the guest's CPUs, once its outstanding requests are done (`virDomainSuspend`).
    func suspend(_ domain: DomainIdentity) async throws(HypervisorError)
    /// Resumes a guest that is paused on request (`virDomainResume`), after any earlier ``suspend(_:)`` has been carried out. Leaves
    /// others as they are. Is made even if the calling task is cancelled.
    func resume(_ domain: DomainIdentity) async throws(HypervisorError)

    /// Starts a copy to a path: `virDomainBlockRebase` with `COPY | REUSE_EXT`.
    func blockRebase(_ domain: DomainIdentity, disk: String, _ copy: RebaseCopy) async throws(HypervisorError)
    /// Starts a copy to any destination: `virDomainBlockCopy` with `REUSE_EXT | TRANSIENT_JOB`.
    func blockCopy(_ domain: DomainIdentity, disk: String, _ copy: BlockCopy) async throws(HypervisorError)
    /// The job on the disk (`virDomainGetBlockJobInfo`); nil if there is none.
    func blockJobInfo(_ domain: DomainIdentity, disk: String) async throws(HypervisorError) -> BlockJobInfo?
    /// Pivots or cancels the copy: `virDomainBlockJobAbort` with `ASYNC`, and with `PIVOT` or without.
    ///
    /// Returns once libvirt has taken the request. An event reports the end; until then the live XML shows `<mirror
    /// ready='pivot'>` or `'abort'`.
    func blockJobAbort(_ domain: DomainIdentity, disk: String, pivot: Bool) async throws(HypervisorError)
    /// Ends a hanging cancel, bypassing libvirt: QEMU's `block-job-cancel` with `force`, and `yank` for the socket of an NBD
    /// destination. Does nothing without monitor access or without a copy.
    func forceAbort(_ domain: DomainIdentity, disk: String) async throws(HypervisorError)
    /// Limits the copy's speed in bytes/s, 0 for unlimited (`virDomainBlockJobSetSpeed`).
    func blockJobSetSpeed(_ domain: DomainIdentity, disk: String, bytesPerSecond: Int64) async throws(HypervisorError)
    /// Has the guest's writes wait for both volumes of the running copy, so that it converges: QEMU's `block-job-change` to
    /// `write-blocking`. Repeating the call has no effect.
    ///
    /// - Throws: ``HypervisorError`` of code `unsupported` before QEMU 8.2, without monitor access, or if QEMU could abort in such a copy.
    func makeCopySynchronous(_ domain: DomainIdentity, disk: String) async throws(HypervisorError)
    /// Why a copy cannot begin with synchronous writes (`VIR_DOMAIN_BLOCK_COPY_SYNCHRONOUS_WRITES`); nil if it can.
    ///
    /// - Parameter domain: whose QEMU is asked.
    func obstacleToSynchronousWrites(of domain: DomainIdentity) async throws(HypervisorError) -> String?
    /// What the guest has done with the disk since it started (`virDomainBlockStatsFlags`); the copy's own work is not in it.
    func blockStatistics(_ domain: DomainIdentity, disk: String) async throws(HypervisorError) -> DiskStatistics
    /// The size the guest sees, in bytes (`virDomainGetBlockInfo`'s capacity).
    func capacity(_ domain: DomainIdentity, disk: String) async throws(HypervisorError) -> Int64
    /// The full size in bytes of a running copy's destination; nil if QEMU does not report it.
    func mirrorCapacity(_ domain: DomainIdentity, disk: String) async throws(HypervisorError) -> Int64?
    /// Removes the window through which a copy saw a larger volume: QEMU's `blockdev-reopen` without the slice, after the pivot.
    /// The guest keeps its size until a later `virDomainBlockResize`, which fails while there is a window.
    ///
    /// - Returns: true if libvirt's live XML still shows the window: a managed save, restore or migration restores that size.
    func dropSlice(_ domain: DomainIdentity, disk: String) async throws(HypervisorError) -> Bool
    /// Grows the live disk: QEMU's `blockdev-reopen` without the slice, then `virDomainBlockResize`.
    func grow(_ domain: DomainIdentity, disk: String, toBytes: Int64) async throws(HypervisorError)
    /// Stops the running copy from allocating zeroes on the new volume: QEMU's `blockdev-reopen` with `detect-zeroes=unmap`.
    ///
    /// - Parameter sliceBytes: the size of the window onto a larger volume, if the copy has one.
    func unmapZeroes(_ domain: DomainIdentity, disk: String, sliceBytes: Int64?) async throws(HypervisorError)
    /// Lets QEMU handle the guest's discards and zeroes as the disk's configuration says, after the pivot of a copy that
    /// ``unmapZeroes(_:disk:sliceBytes:)`` changed.
    func restoreZeroHandling(_ domain: DomainIdentity, disk: String) async throws(HypervisorError)
    /// Whether QEMU runs the disk on a different volume from the one that libvirt names; nil without monitor access, or where
    /// QEMU does not show it.
    ///
    /// A libvirtd that dies between QEMU's pivot and its own record of it comes back with the old volume in its configuration.
    func hasPivotedUnnoticed(_ domain: DomainIdentity, disk: String) async throws(HypervisorError) -> Bool?
    /// Mirrors the disk back onto the volume that libvirt names, after ``hasPivotedUnnoticed(_:disk:)``.
    func mirrorBack(_ domain: DomainIdentity, disk: String) async throws(HypervisorError)
    /// Whether ``grow(_:disk:toBytes:)`` works: it needs `blockdev-reopen` and monitor access.
    ///
    /// - Parameter domain: whose QEMU is asked.
    func growSupport(of domain: DomainIdentity) async throws(HypervisorError) -> GrowSupport
    /// Whether undefining keeps the vTPM's state (`VIR_DOMAIN_UNDEFINE_KEEP_TPM`).
    func keepsTPMState() async throws(HypervisorError) -> Bool

    /// Every domain of the host, active or not, for in-use checks. An active persistent domain appears twice: live and stored.
    ///
    /// - Throws: ``HypervisorError`` naming the domain whose configuration could not be read.
    func domains() async throws(HypervisorError) -> [DomainDescription]
    /// Posts a domain's events to the mailbox until it is closed, across reconnections. Repeating the call has no effect.
    func subscribe(_ events: HypervisorEvents, to domain: DomainIdentity) async throws(HypervisorError)

    /// The UUID of the secret with this usage (`virSecretLookupByUsage`); nil if there is none.
    func secret(usageType: SecretUsage, usage: String) async throws(HypervisorError) -> String?
    /// Whether a secret exists (`virSecretLookupByUUIDString`).
    func hasSecret(uuid: String) async throws(HypervisorError) -> Bool
    /// Defines a secret and sets its value (`virSecretDefineXML`, `virSecretSetValue`).
    func makeSecret(xml: String, uuid: String, value: [UInt8]) async throws(HypervisorError)
    /// Removes a secret (`virSecretUndefine`); a missing one is not an error.
    func removeSecret(uuid: String) async throws(HypervisorError)

    /// Opens a path and describes it; nil if nothing is there.
    func inspect(path: String) async throws(HypervisorError) -> PathDescription?
    /// Offset in bytes of the guest's data in a LUKS1 volume, the version that QEMU opens; nil without a readable header.
    func luksPayloadOffset(path: String) async throws(HypervisorError) -> Int64?
    /// The size in bytes that the header of a qcow2 image states, the guest's; nil without a readable header.
    func imageBytes(path: String) async throws(HypervisorError) -> Int64?

    // MARK: Which volume is which

    /// Describes a path without opening anything: symlinks are followed by name and the target is only `stat`ed.
    func look(at path: String, of owner: PathOwner) async -> PathAnswer
    /// The addresses of a host name, each in one spelling and this host's as `loopback`; empty if it does not resolve in time.
    func addresses(ofHost name: String) async -> [String]
    /// Whether the host itself uses a block device, detected with `O_EXCL`: mounted, swap space, or part of a mapped device.
    func isHeldByHost(path: String) async throws(HypervisorError) -> Bool
    /// The use that keeps a device from being detached; nil if there is none. Differs from ``isHeldByHost(path:)``: a multipath map over
    /// the device counts only if it is used itself, since detaching the device removes the map, and a device that is offline or hangs
    /// counts only if the kernel shows its use.
    func hostUse(path: String) async throws(HypervisorError) -> HostUse?
    /// The files that the host itself uses: those of loop devices, mounted or not, and of swap space.
    func filesInUse() async throws(HypervisorError) -> [HostFile]
    /// The host's own block devices that may be volumes of one of libvirt's network protocols: mapped rbd images, iSCSI LUNs.
    func hostDevices(of networkProtocol: String) async throws(HypervisorError) -> [String]
    /// The host's disk at a SCSI address; nil if there is none.
    func scsiDisk(at address: SCSIAddress) async throws(HypervisorError) -> String?
    /// The file that a qcow2 image names as the one below it. Anything but a file or a block device is not opened.
    func backingFile(of path: String) async -> BackingAnswer
    /// The UUID in the LUKS header at the start of a path, empty if the header has none; nil without a header.
    ///
    /// - Throws: ``HypervisorError`` of code `denied` if pivotd may not read it.
    func luksUUID(path: String) async throws(HypervisorError) -> String?
    /// Whether libvirt has a secret of usage type `volume` for this volume.
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

    package func life(_ domain: DomainIdentity) async throws(HypervisorError) -> String? { nil }
    package func versions() async throws(HypervisorError) -> HypervisorVersions { HypervisorVersions() }
    package func features() async throws(HypervisorError) -> HypervisorFeatures { .simulated }
    package func isAutostarted(_ domain: DomainIdentity) async throws(HypervisorError) -> Bool { false }
    package func setAutostart(_ domain: DomainIdentity) async throws(HypervisorError) {}
    package func unmapZeroes(_ domain: DomainIdentity, disk: String, sliceBytes: Int64?) async throws(HypervisorError) {}
    package func restoreZeroHandling(_ domain: DomainIdentity, disk: String) async throws(HypervisorError) {}

    package func makeCopySynchronous(_ domain: DomainIdentity, disk: String) async throws(HypervisorError) {
        throw HypervisorError(.unsupported, "\(kind) cannot change a running copy")
    }
    package func obstacleToSynchronousWrites(of domain: DomainIdentity) async throws(HypervisorError) -> String? { nil }
    package func forceAbort(_ domain: DomainIdentity, disk: String) async throws(HypervisorError) {}
    package func dropSlice(_ domain: DomainIdentity, disk: String) async throws(HypervisorError) -> Bool { false }
    package func hasPivotedUnnoticed(_ domain: DomainIdentity, disk: String) async throws(HypervisorError) -> Bool? { false }
    package func mirrorBack(_ domain: DomainIdentity, disk: String) async throws(HypervisorError) {}

    /// The domain's status; nil if it no longer exists.
    func statusIfKnown(_ domain: DomainIdentity) async throws(HypervisorError) -> DomainStatus? {
        do {
            return try await status(domain)
        } catch {
            if error.code == .noDomain { return nil }
            throw error
        }
    }

    /// The job on a disk of a running domain; nil if there is none. libvirt refuses the question for a disk that has been detached.
    func job(of disk: String, in domain: DomainIdentity) async throws(HypervisorError) -> BlockJobInfo? {
        do {
            return try await blockJobInfo(domain, disk: disk)
        } catch {
            guard !error.isPassing, !error.mayShowStop, try await description(domain, .live).disk(disk) == nil else {
                throw error
            }
            return nil
        }
    }
}

/// A domain by UUID, and its name for messages.
package struct DomainIdentity: Sendable, Hashable, Codable {
    package var uuid: String
    package var name: String

    package init(uuid: String, name: String) {
        self.uuid = uuid
        self.name = name
    }
}

/// A domain's state.
package struct DomainStatus: Sendable, Hashable {
    /// Running or paused (`virDomainIsActive`).
    package var isActive: Bool
    /// Whether it has a stored configuration (`virDomainIsPersistent`).
    package var isPersistent: Bool

    package init(isActive: Bool, isPersistent: Bool) {
        self.isActive = isActive
        self.isPersistent = isPersistent
    }
}

/// What libvirt has saved of a domain; undefining it could lose that.
package struct SavedStates: Sendable, Hashable {
    /// Whether it has snapshots (`virDomainSnapshotNum`).
    package var hasSnapshots = false
    /// Whether it has checkpoints (`virDomainListAllCheckpoints`).
    package var hasCheckpoints = false
    /// Whether it has a managed save image (`virDomainHasManagedSaveImage`).
    package var hasManagedSave = false

    package init() {}
}

/// Which of a domain's two configurations to read.
package enum XMLView: Sendable {
    /// The running one.
    case live
    /// The one stored for the next start (`VIR_DOMAIN_XML_INACTIVE`).
    case inactive
}

/// Arguments of `virDomainBlockRebase`.
package struct RebaseCopy: Sendable, Hashable {
    package var path: String
    /// bytes/s, 0 is unlimited.
    package var bandwidth: Int64
    /// `VIR_DOMAIN_BLOCK_REBASE_COPY_DEV`
    package var isBlockDevice: Bool
    /// `VIR_DOMAIN_BLOCK_REBASE_COPY_RAW`
    package var isRaw: Bool
}

/// Arguments of `virDomainBlockCopy`.
package struct BlockCopy: Sendable, Hashable {
    /// The new volume, which must exist already (`REUSE_EXT`).
    package var destination: VolumeSource
    /// Shows QEMU only the first bytes of a larger volume, since it copies only between equal sizes.
    package var sliceBytes: Int64?
    /// bytes/s, 0 is unlimited.
    package var bandwidth: Int64
    /// Bytes, 0 is QEMU's default.
    package var granularity: Int64
    /// Bytes, 0 is QEMU's default.
    package var bufferSize: Int64
    /// `VIR_DOMAIN_BLOCK_COPY_SYNCHRONOUS_WRITES`
    package var synchronousWrites: Bool
}

/// The state of a block job (`virDomainBlockJobInfo`).
package struct BlockJobInfo: Sendable, Hashable {
    /// libvirt's job type: `copy`, `pull`, `commit`, `active-commit`, `backup`.
    package var type: String
    /// Bytes done, in QEMU's own measure: guest writes add to both `cursor` and `end`.
    package var cursor: Int64
    /// Total bytes; 0 until QEMU has measured the work.
    package var end: Int64
    /// The speed limit in bytes/s; 0 for none.
    package var bandwidth: Int64

    package init(type: String, cursor: Int64, end: Int64, bandwidth: Int64 = 0) {
        self.type = type
        self.cursor = cursor
        self.end = end
        self.bandwidth = bandwidth
    }

    /// Whether it is a copy, the only kind of job that pivotd touches.
    package var isCopy: Bool { type == "copy" }
    /// Bytes left to copy.
    package var remaining: Int64 { max(0, end - cursor) }
    /// Whether it shows how much is left. libvirt shows a copy of which QEMU has nothing left to report as one byte short until it is
    /// in sync: so that nobody takes it for ready while QEMU first writes zeroes to the destination, even if the guest's writes are copied
    /// meanwhile.
    package var isMeasured: Bool { end > 0 && end - cursor != 1 }
}

/// A guest's requests to a disk since it started.
package struct DiskStatistics: Sendable, Hashable {
    /// Reads, writes and flushes that have ended.
    package var requests: Int64
    /// Nanoseconds that they have taken together.
    package var nanoseconds: Int64

    package init(requests: Int64, nanoseconds: Int64) {
        self.requests = requests
        self.nanoseconds = nanoseconds
    }

    /// The mean time in milliseconds of the requests since `earlier`; nil if there were fewer than four, which say nothing.
    func meanMilliseconds(since earlier: DiskStatistics) -> Double? {
        let count = requests - earlier.requests
        return count >= 4 ? max(0, Double(nanoseconds - earlier.nanoseconds)) / Double(count) / 1e6 : nil
    }
}

/// Whether a disk can be grown after a swap.
package enum GrowSupport: Sendable, Hashable {
    case supported
    /// Not supported, with the reason for an operator.
    case unsupported(String)

    package static let withoutMonitor = unsupported("it needs QEMU's monitor, and allow_monitor_commands is false")
    package static let withoutReopen = unsupported("it needs blockdev-reopen, which came with QEMU 7.0")
}
