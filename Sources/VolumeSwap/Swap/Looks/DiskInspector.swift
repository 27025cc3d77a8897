import Basics

/// Determines which volume a swap's disk is on, and what is happening to it.
struct DiskInspector {
    /// How long to keep rechecking a `<mirror>` without a job. libvirt updates the job, the stored configuration and the live
    /// one in turn, within milliseconds; only a `<mirror>` that stays is a forgotten one.
    private static let mirrorPatience = Duration.seconds(5)

    let hypervisor: any Hypervisor
    let clock: any SwapClock

    /// The disk's state; ``DiskSight/unknown(_:)`` if it cannot be determined.
    ///
    /// - Parameter life: the guest's life in which a pivot was requested whose result is not known.
    func look(_ plan: SwapPlan, pivotedIn life: String? = nil) async -> DiskSight {
        do {
            let sight = try await see(plan)
            guard let life, sight.isSettledOnOld else { return sight }
            // Asked last: what was seen is then of this life, or of one that is over.
            guard let present = try await hypervisor.life(plan.domain) else {
                return .unknown("the guest stopped between two checks")
            }
            return present == life ? sight : .restartedOnOld
        } catch {
            return .unknown(error.description)
        }
    }

    private func see(_ plan: SwapPlan) async throws(HypervisorError) -> DiskSight {
        guard let status = try await hypervisor.statusIfKnown(plan.domain) else { return .missing }
        guard status.isActive else {
            // At the pivot libvirt changes the stored configuration together with the live one.
            return .stopped(stored: status.isPersistent ? try await storedPlace(plan) : nil)
        }
        // Ask for the job before reading the configuration: a restarted libvirtd answers only once it knows of the job's end.
        let job = try await hypervisor.job(of: plan.disk, in: plan.domain)
        guard let disk = try await hypervisor.description(plan.domain, .live).disk(plan.disk), let location = disk.location else {
            return .elsewhere
        }
        let place = try await place(of: location, plan)
        if place == .new { return .onNew }
        guard place == .old else { return try await elsewhere(plan, disk, job) }
        guard let job else { return try await withoutJob(plan, disk) }
        guard let mirror = disk.mirror else { return try await withoutMirror(plan, job) }
        guard job.isCopy, try await self.place(of: mirror.location, plan) == .new else {
            return .foreignJob(isCopy: job.isCopy, isPivoting: job.isCopy && mirror.ready == "pivot")
        }
        switch mirror.ready {
        case "pivot": return .ending(pivot: true)
        case "abort": return .ending(pivot: false)
        default: return .copying(isReady: mirror.ready == "yes")
        }
    }

    private func elsewhere(_ plan: SwapPlan, _ disk: DiskDescription, _ job: BlockJobInfo?) async throws(HypervisorError)
        -> DiskSight
    {
        guard let job, job.isCopy, let mirror = disk.mirror, try await place(of: mirror.location, plan) == .new else {
            return .elsewhere
        }
        return .strayCopy
    }

    private func withoutJob(_ plan: SwapPlan, _ disk: DiskDescription) async throws(HypervisorError) -> DiskSight {
        let began = clock.now
        var backoff = Backoff(first: .milliseconds(10), longest: .milliseconds(500))
        var hasMirror = disk.mirror != nil
        while true {
            let isLate = clock.now - began >= Self.mirrorPatience
            var isVerified = true
            if !hasMirror || isLate {
                let hasPivotedUnnoticed = try await hypervisor.hasPivotedUnnoticed(plan.domain, disk: plan.disk)
                if hasPivotedUnnoticed == true { return .pivotedUnnoticed }
                isVerified = hasPivotedUnnoticed != nil
            }
            let wasFree = !hasMirror
            // libvirt may have recorded a pivot while QEMU was asked.
            guard let disk = try await hypervisor.description(plan.domain, .live).disk(plan.disk), let location = disk.location
            else { return .elsewhere }
            switch try await self.place(of: location, plan) {
            case .new: return .onNew
            case .other: return .elsewhere
            case .old: hasMirror = disk.mirror != nil
            }
            if try await hypervisor.job(of: plan.disk, in: plan.domain) != nil {
                return .unknown("a job began between two checks")
            }
            if wasFree, !hasMirror { return isVerified ? .onOld : .onOldUnverified }
            if isLate { return .forgottenMirror }
            do { try await clock.sleep(for: backoff.pause()) } catch { return .unknown("interrupted") }
        }
    }

    private func withoutMirror(_ plan: SwapPlan, _ job: BlockJobInfo) async throws(HypervisorError) -> DiskSight {
        guard job.isCopy else { return .foreignJob(isCopy: false) }
        guard try await hypervisor.job(of: plan.disk, in: plan.domain) != nil else {
            return .unknown("the copy ended between two checks")
        }
        return .unnamedCopy
    }

    private func storedPlace(_ plan: SwapPlan) async throws(HypervisorError) -> DiskSight.Place? {
        guard let location = try await hypervisor.description(plan.domain, .inactive).disk(plan.disk)?.location else {
            return nil
        }
        return try await place(of: location, plan)
    }

    /// Which of the swap's volumes a location is. Compares names first, and asks the host only about a name that matches
    /// neither, so that a dead path does not block the check.
    func place(of location: VolumeLocation, _ plan: SwapPlan) async throws(HypervisorError) -> DiskSight.Place {
        if location == plan.destination.location { return .new }
        if location == plan.oldLocation { return .old }
        let comparison = LocationComparison(hypervisor: hypervisor)
        if try await comparison.isSame(location, plan.destination.location) { return .new }
        return try await comparison.isSame(location, plan.oldLocation) ? .old : .other
    }

    /// Advice for a disk whose pivot libvirt lost track of before the swap.
    static let adviceOnUnnoticedPivot = """
        QEMU runs the disk on a different volume from the one that libvirt names, because libvirt has lost track of an earlier pivot: stop \
        the guest, correct its configuration and start it again
        """

    /// Advice for a ``DiskSight/forgottenMirror``.
    static func adviceOnForgottenMirror(_ plan: SwapPlan) -> String {
        """
        libvirt still shows a <mirror> on disk \(plan.disk) of \(plan.domain.name) that no job belongs to, and refuses further \
        block jobs on it until the guest has been stopped and started
        """
    }
}
