import Basics
import Logging
import Synchronization

/// Checks, before anything is changed, what runs, what is requested, and whether one can become the other.
///
/// A failed preflight undoes what it connected or created for the new volume. A cancelled one cannot: see ``release()``.
/// One that only looks, for `check_swap`, applies the same checks, but reserves, connects and creates nothing.
final class SwapPreflight: Sendable {
    private let environment: SwapEnvironment
    private let request: SwapRequest
    private let task: TaskID?
    /// nil to only look.
    private let ledger: AttachmentLedger?
    /// The tasks whose claims on the new volume do not count against a look.
    private let peers: @Sendable (DomainIdentity) -> Set<TaskID>
    /// Which volume the disk was seen on.
    private let seen = Mutex<VolumeInUse?>(nil)
    /// The disk to move, once it was seen.
    private let ownDisk = Mutex<VolumeUses.Exemption?>(nil)
    private let draft = Mutex(Draft())

    /// What is known of a swap, even if it is refused in the end.
    struct Draft: Sendable {
        /// nil until both volumes were seen.
        var plan: SwapPlan?
        /// The copy job that was on the disk.
        var job: BlockJobInfo?
    }

    /// - Parameters:
    ///   - task: reserves the new volume; whoever ends the task releases it.
    ///   - isResumed: whether an earlier, interrupted preflight of the task may have attached the volume.
    init(environment: SwapEnvironment, request: SwapRequest, task: TaskID? = nil, isResumed: Bool = false) {
        self.environment = environment
        self.request = request
        self.task = task
        peers = { _ in [] }
        let ledger = AttachmentLedger()
        self.ledger = ledger
        guard isResumed, let target = try? environment.resolver(ledger).target(request.newConnection) else { return }
        switch target {
        case .connector: if environment.connector.isConfigured { ledger.noteAttachment() }
        case .network(let network):
            guard let secret = network.driver?.ownSecret(for: network) else { return }
            if request.newConnection.text("auth_password") != nil { ledger.note(madeSecret: secret) }
        case .path: break
        }
    }

    /// A preflight that only looks: ``run()`` changes nothing, and there is nothing to release.
    ///
    /// - Parameter peers: the tasks that move this very disk of a domain, whose claims on the new volume do not count.
    init(
        lookingWith environment: SwapEnvironment, request: SwapRequest,
        peers: @escaping @Sendable (DomainIdentity) -> Set<TaskID>
    ) {
        self.environment = environment
        self.request = request
        self.peers = peers
        task = nil
        ledger = nil
    }

    /// What the preflight has found out so far.
    var found: Draft { draft.withLock { $0 } }

    /// The volume that the disk was seen on; nil if it was not seen.
    var volumeInUse: VolumeInUse? { seen.withLock { $0 } }

    private var hypervisor: any Hypervisor { environment.hypervisor }
    private var mountPointBase: String { environment.settings.volumes.mountPointBase }
    private var inUse: InUseCheck { InUseCheck(hypervisor: hypervisor, request: request, strays: environment.strays) }
    private var contents: ContentCheck { ContentCheck(hypervisor: hypervisor, request: request) }
    private var comparison: LocationComparison { LocationComparison(hypervisor: hypervisor) }

    /// Runs the preflight.
    ///
    /// - Returns: the machine's first input: `prepared`, `alreadyMoved` or `adopted`.
    /// - Throws: ``SwapFailure`` naming the volume in use, if seen, and what could not be undone; ``HypervisorError`` if nothing
    ///   could be determined: run it again, or release it.
    func run() async throws -> SwapInput {
        do {
            return try await look()
        } catch {
            guard var failure = error as? SwapFailure else { throw error }
            failure.inUse = failure.inUse ?? volumeInUse
            guard let own = ownDisk.withLock({ $0 }) else { throw failure }
            let target = try? request.newConnection.target(mountPointBase: mountPointBase, argument: "new_connection_info")
            throw await inUse.naming(userOf: target?.location, in: failure, except: own)
        }
    }

    /// Undoes what a failed or cancelled preflight attached, created and reserved. Call from an uncancelled task after ``run()``
    /// has returned.
    ///
    /// - Returns: what could not be undone.
    func release() async -> [String] {
        guard let entries = ledger?.take() else { return [] }
        var remains: [String] = []
        if let other = await otherTask(entries.location) {
            if entries.isAttached { remains.append("the new volume stays connected: task \(other) uses it") }
            if let secret = entries.madeSecret { remains.append("libvirt's secret \(secret) stays: task \(other) may use it") }
        } else {
            remains = await environment.release.release(
                request.newConnection, entries.location, isConnected: entries.isAttached, madeSecret: entries.madeSecret,
                volumeID: request.newVolumeID, except: volumeInUse == .old ? ownDisk.withLock { $0 } : nil)
        }
        if let task { environment.reservations.release(task) }
        return remains
    }

    /// The other task that reserved the volume and so disconnects it. Without one, reserves it for this task.
    private func otherTask(_ location: VolumeLocation?) async -> TaskID? {
        var identity = Self.identity(of: request)
        if let location {
            identity = identity.union(await VolumeIdentifier(hypervisor: hypervisor).identity(of: location).identity)
        }
        guard let task else { return environment.reservations.holder(of: identity, otherThan: nil) }
        return environment.reservations.claim(identity, for: task)
    }

    private static func identity(of request: SwapRequest) -> VolumeIdentity {
        VolumeIdentity(ids: request.newVolumeIDs).union(request.newConnection.identity)
    }

    // MARK: The checks, in order

    private func look() async throws -> SwapInput {
        let domain = try await lookup()
        // On a host with many domains this is the slowest check, so it runs in parallel.
        async let all = domains()
        let status = try await hypervisor.status(domain)
        guard status.isActive else { throw SwapFailure(.instanceNotRunning, domain.uuid, inUse: VolumeInUse.none) }
        let description = try await hypervisor.description(domain, .live)
        guard let disk = description.disk(request.disk), let current = disk.location else {
            throw SwapFailure(.diskNotFound, "\(request.disk) of \(domain.name)", inUse: VolumeInUse.none)
        }
        let isOnOld = try await comparison.describes(
            request.oldConnection, volumeID: request.oldVolumeID, disk, mountPointBase: mountPointBase)
        // A serial only shows where the disk came from: it keeps the old id after a move.
        ownDisk.withLock { $0 = .init(domain: domain.uuid, disk: disk.target) }
        let place = await placeSeen(current)
        seen.withLock { $0 = place }
        let likelyUse = place ?? (isOnOld ? .old : likelyUse(disk))
        try checkKind(disk, current, domain)
        let resolved = try await resolve(domain)
        try await checkDistinct(resolved.source.location)
        let shown = try await reserve(resolved.source.location, domain)
        try checkNames(resolved, shown)
        let sight = Sight(
            domain: domain, status: status, description: description, disk: disk, current: current, isOnOld: isOnOld,
            likelyUse: likelyUse)
        var input = try await judge(resolved, sight)
        switch input {
        case .prepared(var plan):
            try checkWindow(plan)
            plan.warnings += try await inUse.check(plan, domains: try await all.get())
            plan.warnings += try await contents.check(plan, disk)
            input = .prepared(plan)
        case .adopted(var plan):
            plan.warnings += try await inUse.check(plan, domains: try await all.get())
            input = .adopted(plan)
        default: break
        }
        try await makeSecret(resolved.secret, input)
        return input
    }

    /// Makes the new volume's secret, now that no other user of the volume was found. A guest that already runs on the volume may have
    /// logged in with it, and needs it again at its next start: then it is only made if there is none.
    private func makeSecret(_ secret: VolumeSecret?, _ input: SwapInput) async throws(HypervisorError) {
        guard let secret else { return }
        if case .alreadyMoved(let plan) = input {
            guard plan.destination.auth != nil, try await !hypervisor.hasSecret(uuid: secret.uuid) else { return }
        }
        try await environment.resolver(ledger).makeSecret(secret)
    }

    /// Refuses two names for one volume: whoever deletes the old one afterwards would delete what the guest runs on.
    private func checkDistinct(_ new: VolumeLocation) async throws {
        let target = try? request.oldConnection.target(mountPointBase: mountPointBase, argument: "old_connection_info")
        guard let old = target?.location, try await comparison.isSame(old, new) else { return }
        throw SwapFailure(
            .invalidVolume, "old_connection_info and new_connection_info name the same volume, \(new)", .newVolumeInUse,
            inUse: .old)
    }

    /// Refuses a path at which the host has another volume than connection_info names: a `device_path` of an earlier attachment.
    ///
    /// - Parameter shown: the names that the host knows.
    private func checkNames(_ resolved: VolumeResolver.Resolved, _ shown: VolumeIdentity) throws(SwapFailure) {
        let new = request.newConnection
        // A connector returns the path for what connection_info names.
        guard let path = resolved.source.location.path, !resolved.isConnected,
            new.driver.namesAllPaths(of: new, isMultipath: resolved.isMultipath), shown.contradicts(new.identity)
        else { return }
        let (here, named) = (shown.networkNames.joined(separator: ", "), new.identity.networkNames.joined(separator: ", "))
        throw .invalidVolume(
            "new_connection_info.data.device_path: \(path) is another volume on this host (\(here)) than new_connection_info names "
                + "(\(named))", .newVolumeMissing)
    }

    /// Refuses a larger volume that QEMU cannot be shown the first bytes of: those of an image are not those that its guest sees.
    private func checkWindow(_ plan: SwapPlan) throws(SwapFailure) {
        let destination = plan.destination
        guard plan.usesSlice, destination.format != "raw" else { return }
        let size = plan.newBytes.map { " of \($0) bytes" } ?? ""
        throw .invalidVolume(
            "the new volume \(destination.location) is a \(destination.format) image\(size), the old one has \(plan.oldBytes): only a raw "
                + "volume may be larger. Make an image of the old one's size, or a raw volume", .notSupported)
    }

    private func domains() async -> Result<[DomainDescription], any Error> {
        do throws(HypervisorError) {
            return .success(try await hypervisor.domains())
        } catch {
            return .failure(InUseCheck.blind(error))
        }
    }

    /// The domain's state before anything is done.
    private struct Sight {
        var domain: DomainIdentity
        var status: DomainStatus
        var description: DomainDescription
        var disk: DiskDescription
        var current: VolumeLocation
        var isOnOld: Bool
        /// The volume to report for a disk that old_connection_info does not describe.
        var likelyUse: VolumeInUse
    }

    /// Which volume a disk is on by its place, matched generously, since callers delete unused volumes; nil if it is on neither.
    private func placeSeen(_ current: VolumeLocation) async -> VolumeInUse? {
        for (connection, name, use) in [
            (request.newConnection, "new_connection_info", VolumeInUse.new), (request.oldConnection, "old_connection_info", .old),
        ] {
            let place = (try? connection.target(mountPointBase: mountPointBase, argument: name))?.location
            if let place, (try? await comparison.isSame(place, current)) ?? false { return use }
        }
        return nil
    }

    /// The volume to report for a disk on neither place.
    private func likelyUse(_ disk: DiskDescription) -> VolumeInUse {
        let serial = disk.serial?.lowercased()
        return request.oldVolumeIDs.contains { $0.lowercased() == serial } ? .unknown : VolumeInUse.none
    }

    private func lookup() async throws -> DomainIdentity {
        do throws(HypervisorError) {
            return try await hypervisor.lookup(request.instance)
        } catch {
            if error.code == .noDomain {
                throw SwapFailure(.instanceNotFound, request.instance.description, inUse: VolumeInUse.none)
            }
            if error.isPassing { throw error }
            throw SwapFailure.rebaseFailed("the domain could not be looked up: \(error)")
        }
    }

    /// Refuses disks that a copy cannot move, or whose move could not be verified afterwards.
    private func checkKind(_ disk: DiskDescription, _ current: VolumeLocation, _ domain: DomainIdentity) throws(SwapFailure) {
        let name = "\(request.disk) of \(domain.name)"
        if disk.device == "lun" {
            throw .invalidVolume(
                "\(name) is a passed-through LUN (device='lun'): QEMU refuses the guest's writes while it is copied")
        }
        guard disk.device == "disk" else { throw .invalidVolume("\(name) is a \(disk.device), not a disk") }
        if case .other(let source) = current {
            throw .invalidVolume("\(name) is on a \(source): sources of this type cannot be moved")
        }
    }

    private func resolve(_ domain: DomainIdentity) async throws -> VolumeResolver.Resolved {
        let resolver = environment.resolver(ledger)
        let target = try resolver.target(request.newConnection)
        try reserve(Self.identity(of: request), domain)
        if case .connector = target {
            try await inUse.checkUnattached(domain, disk: request.disk)
        }
        return try await resolver.destination(request.newConnection, target, ids: request.newVolumeIDs)
    }

    /// - Returns: every name of the place that the host knows.
    private func reserve(_ location: VolumeLocation, _ domain: DomainIdentity) async throws(SwapFailure) -> VolumeIdentity {
        let identity = await VolumeIdentifier(hypervisor: hypervisor).identity(of: location).identity
        try reserve(identity, domain)
        return identity
    }

    /// Without a task this only checks that no other has reserved it or intends to use it.
    private func reserve(_ identity: VolumeIdentity, _ domain: DomainIdentity) throws(SwapFailure) {
        guard let task else { return try environment.reservations.check(identity, except: peers(domain)) }
        try environment.reservations.reserve(identity, for: task)
    }

    private func judge(_ resolved: VolumeResolver.Resolved, _ sight: Sight) async throws -> SwapInput {
        let (domain, disk) = (sight.domain, sight.disk)
        let savedXML = sight.status.isPersistent ? try await hypervisor.xml(domain, .inactive) : nil
        let facts = SwapPlanFacts(
            domain: domain, disk: request.disk, strategy: .copy, oldLocation: sight.current, destination: resolved.source,
            oldBytes: try await hypervisor.capacity(domain, disk: request.disk), newBytes: resolved.bytes,
            headerBytes: resolved.headerBytes, resizeToBytes: request.resizeToBytes, usesSlice: false,
            wasPersistent: sight.status.isPersistent, savedXML: savedXML, isNewConnected: resolved.isConnected,
            madeSecret: resolved.secret?.uuid, options: request.options, keptElements: disk.keptElements, attempts: 1,
            warnings: [])
        var plan = SwapPlan(facts)
        draft.withLock { [plan] in $0.plan = plan }
        if try await isOnNew(disk, plan) {
            try await checkTrack(plan)
            try SizeCheck.apply(to: &plan, moved: disk)
            // Under the name that the domain shows, so that later inspections need no other.
            plan.destination.location = sight.current
            if sight.current.path != nil { plan.destination.auth = nil }
            plan.oldLocation = await oldPlace(sight)
            return .alreadyMoved(plan)
        }
        try checkOld(sight)
        seen.withLock { $0 = .old }
        if disk.isCopiedOnRead {
            throw SwapFailure.invalidVolume(
                "\(plan.disk) of \(domain.name) has copy_on_read='on': libvirt may then copy the volume below QEMU's filter, not the guest's"
            )
        }
        let stored = try savedXML.map { (xml) throws(SwapFailure) in try DomainDescription(xml: xml) }
        try await checkStored(stored, plan)
        let isAdopted = try await checkJob(disk, plan)
        try SizeCheck.apply(to: &plan, copy: isAdopted ? disk.mirror : nil)
        let saved = try await hypervisor.savedStates(domain)
        plan.strategy = try StrategyChoice(plan: plan, saved: saved, hasTPM: sight.description.hasTPM).strategy(
            keepsTPMState: try await hypervisor.keepsTPMState())
        if plan.usesSlice, plan.resizeToBytes != nil, case .unsupported(let why) = try await hypervisor.growSupport(of: domain) {
            throw SwapFailure.rebaseFailed("disk \(plan.disk) cannot be grown here: \(why)", .notSupported)
        }
        // One that is adopted goes on as it is.
        if plan.options.synchronousWrites, !isAdopted,
            let why = try await hypervisor.obstacleToSynchronousWrites(of: domain)
        {
            throw SwapFailure.rebaseFailed(
                "disk \(plan.disk) cannot be copied with synchronous_writes or convergence always here: \(why). Say convergence auto",
                .notSupported)
        }
        plan.warnings = SwapWarnings.all(request, disk, saved, plan, isStored: stored?.disk(plan.disk) != nil)
        return isAdopted ? .adopted(plan) : .prepared(plan)
    }

    /// Whether the disk has already moved to the new volume, and its guest reads the volume as intended.
    private func isOnNew(_ disk: DiskDescription, _ plan: SwapPlan) async throws -> Bool {
        switch try await comparison.match(disk, plan.destination) {
        case .elsewhere:
            // What only the connector could place may still be known by name.
            guard plan.destination.location.isOther,
                try await comparison.reaches(request.newConnection.identity, plan.oldLocation)
            else { return false }
            seen.withLock { $0 = .new }
            return true
        case .same:
            seen.withLock { $0 = .new }
            return true
        case .differs(let difference):
            seen.withLock { $0 = .new }
            throw SwapFailure.invalidVolume(
                "disk \(plan.disk) is already on the new volume \(plan.destination.location), but \(difference)")
        }
    }

    /// Refuses if libvirt has lost track of a pivot and names a volume that the guest does not write to.
    private func checkTrack(_ plan: SwapPlan) async throws {
        guard try await hypervisor.hasPivotedUnnoticed(plan.domain, disk: plan.disk) == true else { return }
        seen.withLock { $0 = .unknown }
        throw SwapFailure.rebaseFailed("disk \(plan.disk) of \(plan.domain.name): \(DiskInspector.adviceOnUnnoticedPivot)")
            .keepingBoth
    }

    /// The place of an old volume that the disk has already left, to be released; the disk's own if that may be it too.
    ///
    /// A place that only the connector knows is ``VolumeLocation/other(_:)``.
    private func oldPlace(_ sight: Sight) async -> VolumeLocation {
        let ids = VolumeIdentity(ids: request.oldVolumeIDs)
        guard !sight.isOnOld, !ids.meets(VolumeIdentity(ids: request.newVolumeIDs)) else { return sight.current }
        switch try? request.oldConnection.target(mountPointBase: mountPointBase, argument: "old_connection_info") {
        case .network(let network): return .network(network)
        case .path(let path):
            let place = await hypervisor.look(at: path, of: .swap).place
            return place?.kind == .block ? .block(path) : .file(path)
        case .connector, nil: return .other("old volume \(request.oldVolumeIDs.first ?? "")")
        }
    }

    /// `old_connection_info` must describe the disk's source, and a different volume from the new one.
    private func checkOld(_ sight: Sight) throws(SwapFailure) {
        guard sight.isOnOld else {
            seen.withLock { $0 = sight.likelyUse }
            throw .invalidVolume(
                "disk \(sight.disk.target) is on \(sight.current), which is neither what old_connection_info describes "
                    + "(\(comparison.outline(request.oldConnection, mountPointBase: mountPointBase))) nor the new volume",
                .oldVolumeMismatch)
        }
        if let old = request.oldVolumeIDs.first, let new = request.newVolumeIDs.first, old.lowercased() == new.lowercased() {
            throw .invalidInput(
                "new_volume_id: \(new.cut(to: 80)) is also the old volume's id, but the disk is not at the new volume's place")
        }
    }

    /// Refuses if a guest that stopped during the copy would start on the new volume, half copied.
    private func checkStored(_ stored: DomainDescription?, _ plan: SwapPlan) async throws {
        guard let place = stored?.disk(plan.disk)?.location, place != plan.oldLocation,
            try await comparison.isSame(place, plan.destination.location)
        else { return }
        throw SwapFailure.invalidVolume(
            """
            the stored configuration of \(plan.domain.name) has disk \(plan.disk) on the new volume already, but the guest runs on \
            \(plan.oldLocation): if it stopped during the copy, it would start on half of it. Correct the stored configuration first
            """, .oldVolumeMismatch)
    }

    /// Whether this very copy is already running. The swap's start ends a copy onto another volume or in another format.
    private func checkJob(_ disk: DiskDescription, _ plan: SwapPlan) async throws -> Bool {
        guard let job = try await hypervisor.blockJobInfo(plan.domain, disk: plan.disk) else {
            if disk.mirror != nil { try await checkForgottenMirror(plan) }
            return false
        }
        guard job.isCopy else {
            throw SwapFailure.rebaseFailed(
                "disk \(plan.disk) of \(plan.domain.name) has a \(job.type) job that is not pivotd's: it is left alone",
                .foreignJob)
        }
        draft.withLock { $0.job = job }
        guard let mirror = disk.mirror else { return false }
        return try await comparison.match(mirror, plan.destination) == .same
    }

    /// Refuses a `<mirror>` without a job, which bars every block job until the guest is restarted.
    private func checkForgottenMirror(_ plan: SwapPlan) async throws {
        // The job may just have ended between two checks.
        let sight = await DiskInspector(hypervisor: hypervisor, clock: environment.clock).look(plan)
        if sight == .forgottenMirror { throw SwapFailure.rebaseFailed(DiskInspector.adviceOnForgottenMirror(plan)) }
    }
}
