import Basics
import Budgets
import Logging

extension SwapSteps {
    /// Inspects the disk of a task from before a restart until something is known; before the pivot, an abort ends this.
    func observe(_ plan: SwapPlan) async -> SwapInput {
        logger.notice("recovering from \(record.phase.rawValue)")
        if [.pivoting, .finishing, .storing].contains(record.phase) { return await untilSeen(plan) }
        return await untilInterrupted(plan) { [self] in await untilSeen(plan) }
    }

    private func untilSeen(_ plan: SwapPlan) async -> SwapInput {
        // Under all names that the host knows; the written ones were reserved at once.
        let identity = await VolumeIdentifier(hypervisor: hypervisor).identity(of: plan.destination.location).identity
        try? environment.reservations.reserve(identity, for: record.id)
        await subscribe(plan.domain)
        var backoff = Backoff()
        while true {
            let sight = await look(plan)
            guard case .unknown(let why) = sight else {
                note(nil)
                return .observed(sight)
            }
            note("the disk cannot be inspected: \(why)")
            if Task.isCancelled { return .interrupted }
            await wait(plan.disk, atMost: backoff.pause())
        }
    }

    /// Runs the preflight; an abort or the swap's time-out ends it.
    func prepare() async -> SwapInput {
        environment.hooks.willPrepare(request)
        let preflight = SwapPreflight(
            environment: environment, request: request, task: record.id, isResumed: control.marks.takeAttachment())
        let input = await untilInterrupted { [self] in await inspectAll(preflight) }
        guard case .failed(var failure) = input, !Task.isCancelled else { return input }
        failure.inUse = failure.inUse ?? preflight.volumeInUse
        // Undo what was begun for the new volume here, where nothing is cancelled.
        failure.leftBehind += await release(preflight, failure)
        return .failed(failure)
    }

    /// Repeats the preflight while the hypervisor gives no answer, which is not a refusal.
    private func inspectAll(_ preflight: SwapPreflight) async -> SwapInput {
        var backoff = Backoff(first: .milliseconds(500), longest: .seconds(60))
        var isRepeated = false
        while true {
            do {
                return try await inspect(preflight)
            } catch let failure as SwapFailure {
                return .failed(failure)
            } catch let error as HypervisorError where error.mayShowStop && !isRepeated {
                // If the guest has just stopped, the preflight says so now.
                isRepeated = true
            } catch let error as HypervisorError where error.isPassing {
                note(error.description)
                guard (try? await clock.sleep(for: backoff.pause())) != nil else { return .interrupted }
            } catch {
                return Task.isCancelled ? .interrupted : .failed(.rebaseFailed("disk \(request.disk): \(error)"))
            }
        }
    }

    private func inspect(_ preflight: SwapPreflight) async throws -> SwapInput {
        try await lockDomain()
        let input = try await preflight.run()
        // Else what has not answered may only not have been waited for.
        try Task.checkCancellation()
        note(nil)
        switch input {
        case .prepared(let plan):
            var noted = try await noting(plan).keepingConvergence(of: control.plan)
            noted.guestLatency = try await latencyBefore(noted)
            noted.isReleased = control.plan?.isReleased
            remark("\(plan)\(limitText(plan))")
            environment.observer.started(record, plan)
            return .prepared(noted)
        case .adopted(var plan):
            // Adopted as it runs: its definition stays.
            if plan.isUndefined { plan.isDefinedAgain = true }
            if plan.options.synchronousWrites {
                (plan.options.synchronousWrites, plan.options.convergence) = (false, .auto)
                plan.warnings.append(
                    "synchronous_writes: a copy that ran already was adopted, which becomes synchronous only if it does not converge"
                )
            }
            remark("\(plan), adopting the copy that runs")
            environment.observer.started(record, plan)
            return .adopted(plan)
        default:
            return input
        }
    }

    private func limitText(_ plan: SwapPlan) -> String {
        plan.options.bandwidthMiBs > 0 ? ", at most \(plan.options.bandwidthMiBs) MiB/s" : ""
    }

    /// Locks the domain, which requests may name by UUID or by name.
    private func lockDomain() async throws {
        guard let uuid = try await domainUUID() else { return }
        if environment.domainLocks.isHeld(uuid, byOtherThan: record.id) { note("another swap of the domain is under way") }
        try await environment.domainLocks.acquire(uuid, for: record.id)
        note(nil)
        // Usually it waits for that task in its queue; not if their requests named the domain differently.
        if let holder = environment.domainLocks.holder(of: request.disk, of: uuid), holder != record.id {
            throw SwapFailure.rebaseFailed(
                "disk \(request.disk): task \(holder) holds a copy on it; pivot or abort that one first", .foreignJob)
        }
    }

    /// - Returns: nil if the domain does not exist, which the preflight reports.
    private func domainUUID() async throws -> String? {
        if let uuid = request.instance.uuid, request.instance.name == nil { return uuid }
        do {
            let found = try await hypervisor.lookup(request.instance).uuid.lowercased()
            if let name = request.instance.name { environment.domainLocks.learn(name, found) }
            return found
        } catch {
            if error.isPassing { throw error }
            return request.instance.uuid
        }
    }

    /// Records what libvirt forgets when the domain is undefined.
    private func noting(_ plan: SwapPlan) async throws -> SwapPlan {
        guard plan.isUndefined else { return plan }
        var plan = plan
        plan.isAutostarted = try await hypervisor.isAutostarted(plan.domain)
        let live = try await hypervisor.xml(plan.domain, .live)
        plan.liveDevices = try DomainXML.devices(live)
        control.marks.note(liveXML: live, at: clock.now)
        // Read after the running one: a device that comes or goes between the two is in the right ones of them then.
        plan.savedXML = try await hypervisor.xml(plan.domain, .inactive)
        return plan
    }

    /// Removes the stored definition, as `virDomainBlockRebase` demands; the live domain keeps a copy of it in its metadata.
    func undefine(_ plan: SwapPlan) async -> SwapInput {
        await untilInterrupted(plan) { [self] in await undefineAll(plan) }
    }

    private func undefineAll(_ plan: SwapPlan) async -> SwapInput {
        guard let savedXML = plan.savedXML else { return .failed(plan.failure("the domain's configuration was not saved")) }
        // A guest that migrates away from now on must not be started here as well.
        await subscribe(plan.domain)
        do {
            guard try await hypervisor.status(plan.domain).isPersistent else {
                return .failed(plan.failure("someone else has undefined the domain meanwhile"))
            }
            let metadata = try DomainXML.recoveryMetadata(
                task: record.id, disk: plan.disk, definition: savedXML, isAutostarted: plan.isAutostarted ?? false,
                liveDevices: plan.liveDevices)
            try await ensure { () async throws(HypervisorError) in
                try await hypervisor.setRecoveryMetadata(plan.domain, metadata)
            }
            // That call may have waited for long.
            var stored: String?
            try await ensure { () async throws(HypervisorError) in stored = try await hypervisor.xml(plan.domain, .inactive) }
            guard stored == savedXML else {
                return .failed(plan.failure("the domain's stored configuration was changed meanwhile; try again", .internal))
            }
            try await takeDefinition(plan)
            return .done
        } catch let failure as SwapFailure {
            return .failed(failure)
        } catch is CancellationError {
            return .interrupted
        } catch {
            return .failed(plan.failure("the domain could not be undefined: \(error)"))
        }
    }

    private func takeDefinition(_ plan: SwapPlan) async throws {
        var mayBeTaken = false
        try await ensure { () async throws(HypervisorError) in
            control.marks.oweDefinition(true)
            control.marks.noteUndefine(isOut: true)
            do throws(HypervisorError) {
                try await hypervisor.undefine(plan.domain)
                control.marks.noteUndefine(isOut: false)
            } catch {
                if !error.isPassing { control.marks.noteUndefine(isOut: false) }
                mayBeTaken = mayBeTaken || error.isPassing
                // A refused undefine removes nothing; whoever else removed the definition did so on purpose.
                if !mayBeTaken { control.marks.oweDefinition(false) }
                throw error
            }
        } isDone: { () async throws(HypervisorError) in
            try await !hypervisor.status(plan.domain).isPersistent
        }
        control.marks.oweDefinition(true, surely: true)
    }

    /// Subscribes to events, ends a stale copy, then starts ours.
    func start(_ plan: SwapPlan) async -> SwapInput {
        control.marks.noteCopy(began: clock.now)
        return await untilInterrupted(plan) { [self] in await startAll(plan) }
    }

    private func startAll(_ plan: SwapPlan) async -> SwapInput {
        await subscribe(plan.domain)
        do {
            if let input = try await endStaleCopy(plan) { return input }
            try await checkUse(plan)
            try await ensure { () async throws(HypervisorError) in
                try await startCopy(plan)
            } isDone: { () async throws(HypervisorError) in
                try await isCopying(plan)
            }
            if plan.options.detectZeroes { try await unmapZeroes(plan) }
            return .done
        } catch let failure as SwapFailure {
            return .failed(failure)
        } catch is CancellationError {
            return .interrupted
        } catch let error as HypervisorError {
            return await startRefused(plan, error)
        } catch {
            return .failed(plan.failure("\(error)"))
        }
    }

    private func startRefused(_ plan: SwapPlan, _ error: HypervisorError) async -> SwapInput {
        guard error.mayShowStop else { return .copyEnded(plan, cause: error.description) }
        switch await look(plan) {
        case .stopped, .missing: return .failed(plan.failure("the guest stopped before the copy began: \(error)", .guestGone))
        default: return .copyEnded(plan, cause: error.description)
        }
    }

    /// Repeats the preflight's in-use check, since connecting a volume takes time.
    private func checkUse(_ plan: SwapPlan) async throws {
        var backoff = Backoff()
        while true {
            do {
                let check = InUseCheck(hypervisor: hypervisor, request: request, strays: environment.strays)
                let doubts = try await check.check(plan)
                // As after the preflight.
                try Task.checkCancellation()
                for doubt in doubts { control.warn(doubt) }
                return note(nil)
            } catch let error as HypervisorError {
                guard error.isPassing else { throw error }
                note("it cannot be determined whether the new volume is in use: \(error)")
            }
            try await clock.sleep(for: backoff.pause())
        }
    }

    /// Ends a copy job that is already on the disk; like nova, pivotd considers it stale.
    ///
    /// - Returns: nil once the disk is free.
    func endStaleCopy(_ plan: SwapPlan) async throws(SwapFailure) -> SwapInput? {
        var ender = CopyEnder(steps: self, plan: plan, endsForeign: true)
        var backoff = Backoff(first: .milliseconds(100))
        while true {
            switch await ender.step() {
            case .elsewhere: throw plan.failure("the disk has left the old volume since the preflight", .oldVolumeMismatch)
            case .onOld, .onOldUnverified, .restartedOnOld, .stopped, .missing:
                return nil  // libvirt refuses the start itself if it must
            case .onNew: return .foundOnNew
            case .pivotedUnnoticed: throw plan.failure(DiskInspector.adviceOnUnnoticedPivot, .hypervisorRefused).keepingBoth
            case .forgottenMirror: throw plan.failure(DiskInspector.adviceOnForgottenMirror(plan), .hypervisorRefused)
            case .foreignJob: throw plan.failure("a job that is not pivotd's is on the disk: it is left alone", .foreignJob)
            case .copying, .ending, .unnamedCopy, .strayCopy, .unknown, nil: break
            }
            if Task.isCancelled { return .interrupted }
            await wait(plan.disk, atMost: backoff.pause())
        }
    }

    /// Makes the copy leave out zeroes, then lifts the low speed at which it was started for this.
    private func unmapZeroes(_ plan: SwapPlan) async throws {
        do throws(HypervisorError) {
            try await hypervisor.unmapZeroes(plan.domain, disk: plan.disk, sliceBytes: plan.sliceBytes)
        } catch {
            control.warn("detect_zeroes: zeroes may have been allocated on the new volume: \(error)")
            logger.warning("detect_zeroes: \(error)")
        }
        try await setPlannedSpeed(plan)
    }

    /// The copy's share of the host's bandwidth in bytes/s; 0 for unlimited. Later ones arrive through the control.
    private func share(_ plan: SwapPlan) -> Int64 {
        let limit = control.limit ?? plan.options.bandwidthMiBs << 20
        let ceiling = governor(plan)?.ceiling ?? 0
        let speed = environment.budget.beginCopy(record.id, limit: limit, ceiling: ceiling) { [control] in
            control.requestSpeed($0)
        }
        // One that was requested meanwhile may have missed the copy.
        if let later = control.limit, later != limit { environment.budget.changeCopy(record.id, limit: later) }
        return speed
    }

    /// Sets the requested speed. An adopted copy may have another: the slow start of `detect_zeroes`, or an earlier limit.
    func setPlannedSpeed(_ plan: SwapPlan) async throws {
        try await ensure { () async throws(HypervisorError) in
            guard try await hypervisor.blockJobInfo(plan.domain, disk: plan.disk) != nil else { return }
            try await hypervisor.blockJobSetSpeed(plan.domain, disk: plan.disk, bytesPerSecond: share(plan))
        }
    }

    /// Whether a copy whose start was not answered is under way.
    ///
    /// A libvirtd that died before recording the copy's destination still knows the job. It must never be asked to pivot such a
    /// job (9.0 crashes), so the job is ended here and started again.
    private func isCopying(_ plan: SwapPlan) async throws(HypervisorError) -> Bool {
        switch await look(plan) {
        case .copying, .ending, .onNew: return true
        case .unknown(let why): throw HypervisorError(.busy, why)
        case .unnamedCopy:
            logger.warning("libvirt has forgotten the copy's destination: ending the copy and starting over")
            try await hypervisor.blockJobAbort(plan.domain, disk: plan.disk, pivot: false)
            throw HypervisorError(.busy, "ending a copy whose destination libvirt has forgotten")
        default: return false
        }
    }

    private func startCopy(_ plan: SwapPlan) async throws(HypervisorError) {
        let bandwidth = share(plan)
        if plan.strategy == .rebase, let path = plan.destination.location.path {
            let isBlock = if case .block = plan.destination.location { true } else { false }
            let copy = RebaseCopy(
                path: path, bandwidth: bandwidth, isBlockDevice: isBlock, isRaw: plan.destination.format == "raw")
            try await hypervisor.blockRebase(plan.domain, disk: plan.disk, copy)
            return
        }
        let copy = BlockCopy(
            destination: plan.destination, sliceBytes: plan.sliceBytes,
            bandwidth: plan.options.detectZeroes ? 1 << 20 : bandwidth, granularity: plan.options.granularityKiB << 10,
            bufferSize: plan.options.copyBufferMiB << 20, synchronousWrites: plan.options.synchronousWrites)
        try await hypervisor.blockCopy(plan.domain, disk: plan.disk, copy)
    }

    /// The failure if the new volume is too small for `resize_to`: QEMU knows a network volume's size only once it is open.
    func checkGrownSize(_ plan: SwapPlan) async -> SwapFailure? {
        guard let target = plan.resizeToBytes, plan.newBytes == nil,
            let size = try? await hypervisor.mirrorCapacity(plan.domain, disk: plan.disk), size < target
        else { return nil }
        return .invalidVolume(
            "the new volume \(plan.destination.location) has \(size) bytes, resize_to asks for \(target)", .newVolumeTooSmall)
    }
}
