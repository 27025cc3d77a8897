@testable import VolumeSwap

/// What each of libvirt's functions does when carried out.
extension SimLibvirt {
    private func active(_ domain: SimDomain) throws(HypervisorError) -> (SimQEMU, SimConfiguration) {
        guard domain.isKnown else { throw Self.noDomain(domain) }
        guard let qemu = domain.qemu, let live = domain.live, !qemu.isDead else {
            throw HypervisorError(.operationInvalid, number: 55, "Requested operation is not valid: domain is not running")
        }
        return (qemu, live)
    }

    static func noDomain(_ domain: SimDomain) -> HypervisorError {
        HypervisorError(.noDomain, number: 42, "Domain not found: no domain with matching uuid '\(domain.identity.uuid)'")
    }

    func status(_ domain: SimDomain) throws(HypervisorError) -> DomainStatus {
        world.checks.looked(domain)
        guard domain.isKnown else { throw Self.noDomain(domain) }
        return DomainStatus(isActive: domain.live != nil, isPersistent: domain.stored != nil)
    }

    func configuration(_ domain: SimDomain, _ view: XMLView) throws(HypervisorError) -> SimConfiguration {
        guard var configuration = domain.configuration(view) else { throw Self.noDomain(domain) }
        if view == .inactive { world.checks.readStored(domain) }
        for index in configuration.disks.indices {
            let ready = configuration.disks[index].mirror?.ready
            if ready == "yes", world.mutation == .readyHidden { configuration.disks[index].mirror?.ready = nil }
            if ready == "pivot", world.mutation == .pivotHidden { configuration.disks[index].mirror = nil }
        }
        return configuration
    }

    /// libvirt allows defining a running domain even during a copy; the running one is unaffected.
    func define(_ domain: SimDomain, _ configuration: SimConfiguration, by actor: String) throws(HypervisorError) {
        if let trouble = domain.defineTrouble { throw HypervisorError(.other, number: 38, trouble) }
        world.note(actor, "defines \(domain.name) on \(world.outline(configuration))")
        world.checks.defines(domain, configuration, by: actor)
        if world.mutation == .definesDropped, actor == "pivotd" { return }
        domain.stored = configuration
        world.moment(.defined, domain)
    }

    func undefine(_ domain: SimDomain, by actor: String) throws(HypervisorError) {
        guard domain.isKnown else { throw Self.noDomain(domain) }
        guard domain.stored != nil else {
            throw HypervisorError(
                .operationInvalid, number: 55, "Requested operation is not valid: cannot undefine transient domain")
        }
        world.note(actor, "undefines \(domain.name)")
        domain.stored = nil
        domain.isAutostarted = false
        world.checks.undefined(domain, by: actor)
        world.moment(.undefined, domain)
    }

    func setMetadata(_ domain: SimDomain, _ element: String?) throws(HypervisorError) {
        _ = try active(domain)
        if element == nil, world.mutation == .metadataKept { return }
        domain.metadata = element
    }

    // MARK: The guest's pause

    func guestState(_ domain: SimDomain) throws(HypervisorError) -> GuestState {
        guard domain.isKnown else { throw Self.noDomain(domain) }
        guard let qemu = domain.qemu, domain.live != nil else { return .notRunning }
        return qemu.pausedBy == nil ? .running : .pausedOnRequest
    }

    func suspend(_ domain: SimDomain, by actor: String) throws(HypervisorError) {
        let (qemu, _) = try active(domain)
        guard qemu.pausedBy == nil else { return }
        world.note(actor, "pauses \(domain.name)")
        qemu.pausedBy = actor
        world.moment(.paused, domain)
    }

    func resume(_ domain: SimDomain, by actor: String) {
        guard let (qemu, _) = try? active(domain), let pauser = qemu.pausedBy, world.mutation != .resumeDropped else { return }
        world.note(actor, "resumes \(domain.name)")
        if actor != pauser { world.checks.resumes(domain) }
        qemu.pausedBy = nil
    }

    // MARK: Block jobs

    private static let inUse = HypervisorError(
        .notReady, number: 83, "block copy still active: disk is already in active block job")

    func startCopy(
        _ domain: SimDomain, _ destination: SimConfiguration.Disk, slice: Int64?, isRebase: Bool,
        isSynchronous: Bool = false, by actor: String
    ) throws(HypervisorError) {
        let (qemu, live) = try active(domain)
        guard let disk = live[destination.target] else { throw HypervisorError(.other, number: 8, "invalid disk") }
        if isRebase, domain.stored != nil {
            throw HypervisorError(.operationInvalid, number: 55, "Requested operation is not valid: domain is not transient")
        }
        guard qemu.jobs[disk.target] == nil, disk.mirror == nil else { throw Self.inUse }
        guard let volume = world.volume(at: destination.location), volume.isConnected else {
            throw HypervisorError(.other, number: 1, "Could not open '\(destination.location)': No such file or directory")
        }
        if let secret = destination.secret, !secrets.values.contains(secret) {
            throw HypervisorError(.noSecret, number: 66, "no secret with matching uuid '\(secret)'")
        }
        if volume.isLocked, world.isOpen(volume) {
            throw HypervisorError(.other, number: 1, "Failed to get \"write\" lock: is another process using the image?")
        }
        world.note(
            actor,
            "copies \(domain.name)'s \(disk.target) from \(world.outline(qemu, disk.target)) to \(volume.id)\(isRebase ? " by rebase" : "")"
        )
        world.checks.copyStarts(domain, disk.target, onto: volume, isSynchronous: isSynchronous, by: actor)
        var named = destination
        named.serial = disk.serial
        let mirror = SimConfiguration.Disk.Mirror(location: destination.location, format: destination.format)
        domain.live?[disk.target]?.mirror = mirror
        let job = SimJob(
            number: world.nextNumber(), target: volume, type: "copy", slice: slice, destination: named, work: world.copyTime(),
            at: world.loop.now)
        job.isSynchronous = isSynchronous
        let wanting = world.tasks.filter { $0.domain === domain && $0.disk == disk.target && $0.new === volume }
        job.isOutrun = !wanting.isEmpty && wanting.allSatisfy(\.isOutrun)
        job.isOthers = actor != "pivotd"
        if job.isOthers { domain.othersVolumes.append(volume) }
        qemu.start(job)
        world.moment(.copyStarted, domain)
    }

    func jobInfo(_ domain: SimDomain, _ disk: String) throws(HypervisorError) -> BlockJobInfo? {
        let (qemu, _) = try active(domain)
        guard let job = qemu.jobs[disk] else { return nil }
        if job.state == .pivoting, world.mutation == .pivotHidden { return nil }
        let (cursor, end) = qemu.progress(job)
        return BlockJobInfo(type: job.type, cursor: cursor, end: end)
    }

    func abort(_ domain: SimDomain, _ disk: String, pivot: Bool, by actor: String) throws(HypervisorError) {
        let (qemu, live) = try active(domain)
        guard let job = qemu.jobs[disk] else {
            throw HypervisorError(.other, number: 8, "invalid argument: disk \(disk) does not have an active block job")
        }
        if job.state == .pivoting || job.state == .cancelling {
            throw HypervisorError(
                .stillEnding, number: 55, "Requested operation is not valid: block job on disk '\(disk)' is still being ended")
        }
        world.checks.aborts(domain, job, pivot: pivot, by: actor)
        if pivot {
            guard job.type == "copy" else {
                throw HypervisorError(
                    .operationInvalid, number: 55,
                    "Requested operation is not valid: pivot of disk '\(disk)' requires an active copy job")
            }
            if live[disk]?.mirror == nil, actor == "pivotd" {
                world.violate("\(actor) asks for the pivot of a job whose destination libvirt has forgotten (9.0 crashes)")
            }
            guard job.state == .ready, live[disk]?.mirror?.ready == "yes" else {
                throw HypervisorError(.notReady, number: 83, "block copy still active: disk '\(disk)' not ready for pivot yet")
            }
            domain.live?[disk]?.mirror?.ready = "pivot"
            job.pivotAskedAt = world.loop.now
            world.note(actor, "pivots \(domain.name)'s \(disk) to \(job.target.id)")
            qemu.pivot(job)
            world.moment(.pivotAsked, domain)
        } else {
            if world.mutation == .cancelsDropped { return }
            domain.live?[disk]?.mirror?.ready = "abort"
            world.note(actor, "cancels the job on \(domain.name)'s \(disk)")
            qemu.cancel(job)
            world.moment(.cancelAsked, domain)
        }
    }

    func forceAbort(_ domain: SimDomain, _ disk: String) throws(HypervisorError) {
        let (qemu, _) = try active(domain)
        guard let job = qemu.jobs[disk], job.type == "copy" else { return }
        world.note("pivotd", "forces the end of the job on \(domain.name)'s \(disk)")
        if job.state == .pivoting { qemu.yank(job) } else { qemu.cancel(job, isForced: true) }
    }

    /// Passed on to QEMU, which has the command from 8.2 on.
    func makeCopySynchronous(_ domain: SimDomain, _ disk: String) throws(HypervisorError) {
        let (qemu, _) = try active(domain)
        guard world.changesCopies else { throw HypervisorError(.unsupported, "this QEMU has no block-job-change") }
        guard let job = qemu.jobs[disk], job.type == "copy", job.state != .cancelling else {
            throw HypervisorError(.other, "QEMU has no running copy of disk \(disk)")
        }
        world.note("pivotd", "has \(domain.name)'s writes to \(disk) go to \(job.target.id) too")
        job.isSynchronous = true
        qemu.update()
    }

    func capacity(_ domain: SimDomain, _ disk: String) throws(HypervisorError) -> Int64 {
        let (qemu, _) = try active(domain)
        return world.guestBytes(domain, disk) ?? qemu.disks[disk]?.bytes ?? 0
    }

    func grow(_ domain: SimDomain, _ disk: String, toBytes bytes: Int64) throws(HypervisorError) {
        let (qemu, _) = try active(domain)
        guard let volume = qemu.disks[disk], volume.bytes >= bytes, !world.growFails else {
            throw HypervisorError(.other, number: 1, "unable to execute QEMU command 'block_resize'")
        }
        domain.live?[disk]?.hasSlice = false
        world.setGuestBytes(domain, disk, bytes)
    }

    /// Whether QEMU runs a different volume from the one in the live configuration.
    func hasPivotedUnnoticed(_ domain: SimDomain, _ disk: String) throws(HypervisorError) -> Bool {
        let (qemu, live) = try active(domain)
        guard let location = live[disk]?.location else { return false }
        return qemu.disks[disk] !== world.volume(at: location)
    }

    /// Mirrors the disk back onto the volume that libvirt names, which is reopened if it was closed.
    func mirrorBack(_ domain: SimDomain, _ disk: String) throws(HypervisorError) {
        let (qemu, live) = try active(domain)
        guard let location = live[disk]?.location, let named = world.volume(at: location), let running = qemu.disks[disk] else {
            return
        }
        guard named !== running else { return }
        guard named.isLocked else {
            throw HypervisorError(
                .unsupported, "libvirt has closed the old volume, and only a raw file or block device is opened again")
        }
        world.note("pivotd", "mirrors \(domain.name)'s \(disk) back to \(named.id)")
        named.sectors = running.sectors
        qemu.disks[disk] = named
    }
}
