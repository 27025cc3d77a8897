/// Looks before anything is touched: what runs, what is asked for, and whether one can become the other.
final class SwapPreflight: Sendable {
    private let environment: SwapEnvironment
    private let request: SwapRequest

    init(environment: SwapEnvironment, request: SwapRequest) {
        self.environment = environment
        self.request = request
    }

    private var hypervisor: any Hypervisor { environment.hypervisor }
    private var mountPointBase: String { environment.settings.mountPointBase }

    /// The machine's first input: `prepared`, `alreadyMoved` or `adopted`. A new volume that was connected is let go of on failure.
    func run() async throws -> SwapInput {
        let domain = try await lookup()
        // The longest of the looks, on a host of many domains, goes beside the others.
        async let running = environment.hypervisor.domains()
        let status = try await hypervisor.status(domain)
        guard status.isActive else { throw SwapFailure(.instanceNotRunning, domain.uuid) }
        let description = try await hypervisor.description(domain, .live)
        guard let disk = description.disk(request.disk), let current = disk.location else {
            throw SwapFailure(.diskNotFound, "\(request.disk) of \(domain.name)")
        }
        guard disk.device == "disk" || disk.device == "lun" else {
            throw SwapFailure.invalidVolume("\(request.disk) of \(domain.name) is a \(disk.device), not a disk")
        }
        let resolved = try await VolumeResolver(environment: environment)
            .destination(request.newConnection, volumeID: request.newVolumeID)
        do {
            let input = try await judge(resolved, domain, status, description, disk, current)
            switch input {
            case .prepared(let plan), .adopted(let plan): try await checkUse(of: plan, disk, by: try await running)
            default: break
            }
            return input
        } catch {
            await VolumeRelease(hypervisor: hypervisor, connector: environment.connector).release(
                request.newConnection, resolved.source.location, isConnected: resolved.isConnected,
                madeSecret: resolved.madeSecret)
            throw error
        }
    }

    private func judge(
        _ resolved: VolumeResolver.Resolved, _ domain: DomainIdentity, _ status: DomainStatus, _ description: DomainDescription,
        _ disk: DiskDescription, _ current: VolumeLocation
    ) async throws -> SwapInput {
        let facts = SwapPlanFacts(
            domain: domain, disk: request.disk, strategy: .copy, oldLocation: current, destination: resolved.source,
            oldBytes: try await hypervisor.capacity(domain, disk: request.disk), newBytes: resolved.bytes,
            headerBytes: resolved.headerBytes, resizeToBytes: request.resizeToBytes, usesSlice: false,
            wasPersistent: status.isPersistent,
            savedXML: status.isPersistent ? try await hypervisor.xml(domain, .inactive) : nil,
            isNewConnected: resolved.isConnected, madeSecret: resolved.madeSecret, options: request.options,
            keptElements: disk.keptElements, attempts: 1, warnings: [])
        var plan = SwapPlan(facts)
        if try await isSame(current, resolved.source.location) {
            try checkSizes(&plan)
            return .alreadyMoved(plan)
        }
        try await checkOld(disk, current)
        let runningCopy = try await checkJob(disk, plan)
        try checkSizes(&plan)
        plan.strategy = try StrategyChoice(plan: plan, status: status, hasTPM: description.hasTPM).strategy(
            keepsTPMState: try await hypervisor.keepsTPMState())
        if plan.usesSlice, plan.resizeToBytes != nil, case .unsupported(let why) = try await hypervisor.growSupport() {
            throw SwapFailure.rebaseFailed("disk \(plan.disk) cannot be grown here: \(why)")
        }
        return runningCopy ? .adopted(plan) : .prepared(plan)
    }

    private func lookup() async throws(SwapFailure) -> DomainIdentity {
        do {
            return try await hypervisor.lookup(request.instance)
        } catch {
            if error.code == .noDomain { throw SwapFailure(.instanceNotFound, request.instance.description) }
            throw .rebaseFailed("the domain could not be looked up: \(error)")
        }
    }

    private func isSame(_ one: VolumeLocation, _ other: VolumeLocation) async throws -> Bool {
        try await LocationComparison(hypervisor: hypervisor).isSame(one, other)
    }

    /// `old_connection_info` must describe what the disk shows.
    private func checkOld(_ disk: DiskDescription, _ current: VolumeLocation) async throws {
        let comparison = LocationComparison(hypervisor: hypervisor)
        guard try await comparison.describes(request.oldConnection, disk, mountPointBase: mountPointBase) else {
            throw SwapFailure.invalidVolume(
                "disk \(disk.target) is on \(current), which is neither what old_connection_info describes "
                    + "(\(comparison.outline(request.oldConnection, mountPointBase: mountPointBase))) nor the new volume"
            )
        }
    }

    /// True when a copy onto the new volume is running. A copy onto something else is left to ``SwapRunner`` to end.
    private func checkJob(_ disk: DiskDescription, _ plan: SwapPlan) async throws -> Bool {
        guard let job = try await hypervisor.blockJobInfo(plan.domain, disk: plan.disk) else {
            if disk.mirror != nil { try await checkForgottenMirror(plan) }
            return false
        }
        guard job.isCopy else {
            throw SwapFailure.rebaseFailed(
                "disk \(plan.disk) of \(plan.domain.name) has a \(job.type) job that is not pivotd's: it is left alone")
        }
        guard let mirror = disk.mirror else { return false }
        return try await isSame(mirror.location, plan.destination.location)
    }

    /// A `<mirror>` that no job belongs to bars every block job until the guest starts anew.
    private func checkForgottenMirror(_ plan: SwapPlan) async throws {
        // The job may just have ended between two looks.
        let sight = await DiskInspector(hypervisor: hypervisor, clock: environment.clock).look(plan)
        if sight == .forgottenMirror { throw SwapFailure.rebaseFailed(DiskInspector.adviceOnForgottenMirror(plan)) }
    }

    private func checkSizes(_ plan: inout SwapPlan) throws(SwapFailure) {
        if let target = plan.resizeToBytes, target < plan.oldBytes {
            throw .invalidInput(
                "resize_to: \(target) bytes is less than the disk's present \(plan.oldBytes) bytes; a disk cannot shrink")
        }
        if plan.resizeToBytes == plan.oldBytes { plan.resizeToBytes = nil }
        let isSealed = plan.destination.encryption != nil && plan.headerBytes == nil
        if plan.resizeToBytes != nil, isSealed || plan.destination.format != "raw" {
            let kind = isSealed ? "an encrypted volume whose LUKS header cannot be read" : "a \(plan.destination.format) volume"
            throw .invalidVolume("resize_to: \(kind) cannot be grown while it is moved; move it with resize_to 0 first")
        }
        guard let size = plan.newBytes else {
            // Only QEMU knows this volume's size, but it has to be larger than the old one to be grown.
            plan.usesSlice = plan.resizeToBytes != nil
            return
        }
        guard size >= plan.oldBytes else {
            throw .invalidVolume(
                "the new volume \(plan.destination.location) has \(size) bytes, the old one \(plan.oldBytes): too small")
        }
        if let target = plan.resizeToBytes, target > size {
            // Of an encrypted volume the guest gets what the header leaves, as with nova's extend_volume.
            guard let header = plan.headerBytes, target <= size + header else {
                throw .invalidVolume(
                    "the new volume \(plan.destination.location) has \(size) bytes, resize_to asks for \(target)")
            }
            plan.resizeToBytes = size > plan.oldBytes ? size : nil
        }
        plan.usesSlice = size > plan.oldBytes
    }

    /// Two writers on one volume end in corruption: a volume that another disk of any running domain uses is refused.
    private func checkUse(of plan: SwapPlan, _ disk: DiskDescription, by running: [DomainDescription]) async throws {
        let comparison = LocationComparison(hypervisor: hypervisor)
        for domain in running {
            for other in domain.disks where domain.uuid != plan.domain.uuid || other.target != plan.disk {
                for location in [other.location, other.mirror?.location].compactMap({ $0 }) {
                    if try await comparison.isSame(location, plan.destination.location) {
                        throw SwapFailure.invalidVolume(
                            "the new volume \(plan.destination.location) is in use as disk \(other.target) of \(domain.name)")
                    }
                    let isShared = request.oldConnection.isMultiattach || disk.isShareable
                    if isShared, try await comparison.isSame(location, plan.oldLocation) {
                        throw SwapFailure.invalidVolume(
                            "the old volume \(plan.oldLocation) is attached to \(domain.name) too: a volume with more than one writer cannot be moved"
                        )
                    }
                }
            }
        }
    }
}
