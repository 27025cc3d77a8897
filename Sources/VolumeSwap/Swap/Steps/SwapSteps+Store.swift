import Basics
import JSON
import Logging

extension SwapSteps {
    /// Updates the stored configuration, reads both configurations back, then releases the old volume.
    ///
    /// A failed write is retried for `store_retry_s`: the guest is on the new volume, and nothing brings it back. A definition that
    /// pivotd removed is retried for ever: only the journal still has all of it.
    func store(_ plan: SwapPlan) async -> SwapInput {
        guard await takeTurn(plan) else { return .interrupted }
        let (answers, answer) = AsyncStream<SwapFailure>.makeStream()
        // The journal may be unable to store an answer, which must not keep libvirt's configuration from being stored.
        return await beside({ [host] in for await failure in answers { return await host.answer(failure) } }) { [self] in
            await storeInTime(plan) { answer.yield($0) }
        }
    }

    private func storeInTime(_ plan: SwapPlan, _ answer: (SwapFailure) -> Void) async -> SwapInput {
        let began = clock.now
        var backoff = Backoff(first: .seconds(1), longest: .seconds(60))
        while true {
            do {
                try await storeOnce(plan)
                note(nil)
                let remainders = await releaseOld(plan)
                // What the stop itself cut off is done by the next start.
                if Task.isCancelled, !remainders.isEmpty { return .interrupted }
                for remainder in remainders { control.warn(remainder) }
                return .done
            } catch {
                let final = error as? SwapFailure
                // Whatever happened to the disk, restore the definition that was removed.
                if let final, await tryRestoringDefinition(plan) { return await givenUp(plan, final) }
                let cause = "moved, but the stored configuration could not be written: \(error)"
                if final == nil { note(cause) }
                let isPassing = (error as? HypervisorError)?.isPassing ?? false
                if !isPassing, clock.now - began >= environment.settings.storeRetry {
                    let failure = unstored(plan, final ?? plan.failure(cause, .configurationFailed))
                    guard control.marks.owesDefinition else { return await givenUp(plan, failure) }
                    answer(failure)
                }
            }
            await wait(plan.disk, atMost: backoff.pause())
            if Task.isCancelled { return .interrupted }
        }
    }

    private func givenUp(_ plan: SwapPlan, _ failure: SwapFailure) async -> SwapInput {
        if plan.isUndefined { await removeMetadata(plan) }
        return .failed(failure)
    }

    /// The failure to report for a configuration that could not be stored in time.
    private func unstored(_ plan: SwapPlan, _ failure: SwapFailure) -> SwapFailure {
        let remainder =
            control.marks.owesDefinition
            ? "\(plan.domain.name) has no stored configuration yet: pivotd keeps trying; do not stop the guest until it has succeeded"
            : "the stored configuration of \(plan.domain.name) is missing, or does not name \(plan.destination.location)"
        var failure = failure.leaving(remainder)
        failure.code = .configurationFailed
        failure.inUse = failure.inUse ?? .new
        return failure
    }

    /// - Throws: ``HypervisorError`` if a retry may help, ``SwapFailure`` if not.
    private func storeOnce(_ plan: SwapPlan) async throws {
        let live = try await liveDisk(plan)
        try await storeDefinition(plan, live)
        if live != nil, plan.isUndefined { try await hypervisor.setRecoveryMetadata(plan.domain, nil) }
        if live != nil {
            try await dropSlice(plan)
            try await restoreZeroHandling(plan)
        }
        warnOfSize(plan)
    }

    /// Removes the window that the copy was shown, and warns if libvirt keeps it in its running configuration.
    private func dropSlice(_ plan: SwapPlan) async throws(HypervisorError) {
        guard plan.usesSlice else { return }
        do {
            guard try await hypervisor.dropSlice(plan.domain, disk: plan.disk) else { return }
            control.warn(
                """
                slice: libvirt keeps the old size of \(plan.oldBytes) bytes in the running configuration of disk \(plan.disk): a managed \
                save, a restore and a migration bring it back, unless the hook pivotd-slices is installed, until the guest has been \
                stopped and started
                """)
        } catch {
            if error.isPassing { throw error }
            control.warn("slice: a resize of disk \(plan.disk) will fail until the guest has been stopped and started: \(error)")
        }
    }

    /// Undoes what `detect_zeroes` changed for the copy.
    private func restoreZeroHandling(_ plan: SwapPlan) async throws(HypervisorError) {
        guard plan.options.detectZeroes else { return }
        do {
            try await hypervisor.restoreZeroHandling(plan.domain, disk: plan.disk)
        } catch {
            if error.isPassing { throw error }
            control.warn(
                "detect_zeroes: QEMU unmaps the guest's zeroes on disk \(plan.disk) until it has been stopped and started: \(error)"
            )
        }
    }

    /// The running disk, which must be on the new volume; nil if the domain has stopped: then only what is stored matters.
    private func liveDisk(_ plan: SwapPlan) async throws -> DiskDescription? {
        switch await look(plan) {
        case .stopped, .missing:
            return nil
        case .onNew:
            guard let disk = try await hypervisor.description(plan.domain, .live).disk(plan.disk) else {
                throw HypervisorError(.busy, "the disk went away between two checks")
            }
            if try await hypervisor.hasPivotedUnnoticed(plan.domain, disk: plan.disk) == true {
                let cause = """
                    libvirt names the new volume, but QEMU runs the disk on another one: stop the guest, and correct its stored configuration, \
                    as the new volume lacks its latest writes
                    """
                throw plan.failure(cause, .configurationFailed).keepingBoth
            }
            warnOfDifferences(plan, disk)
            return disk
        case .unknown(let why):
            throw HypervisorError(.busy, why)
        case .pivotedUnnoticed:
            // The live configuration is wrong then, and the stored one must name what QEMU runs.
            try await storeDefinition(plan, nil)
            let cause = "the guest runs on the new volume, but libvirt names the old one; keep both volumes"
            throw plan.failure(cause, .configurationFailed)
        case .onOld, .forgottenMirror, .copying, .unnamedCopy: throw hasLeft(plan, .old)
        case .elsewhere:
            // A disk that was detached from the running domain alone comes back at its next start.
            if try await hypervisor.description(plan.domain, .live).disk(plan.disk) == nil {
                try await storeDefinition(plan, nil)
            }
            throw hasLeft(plan, .unknown)
        case .ending, .foreignJob, .onOldUnverified, .strayCopy: throw hasLeft(plan, .unknown)
        case .restartedOnOld: throw hasLeft(plan, .old).afterRestart
        }
    }

    private func hasLeft(_ plan: SwapPlan, _ inUse: VolumeInUse) -> SwapFailure {
        var failure = plan.failure("the disk has left the new volume after the pivot", .configurationFailed)
        failure.inUse = inUse
        return failure
    }

    /// Writes the disk's new volume to the stored configuration, also to one that the domain has only been given since the preflight.
    private func storeDefinition(_ plan: SwapPlan, _ live: DiskDescription?) async throws {
        let stored = try await storedConfiguration(plan)
        guard stored != nil || control.marks.owesDefinition else {
            guard plan.wasPersistent else { return }
            // pivotd only defines what it undefined, and only once.
            return control.warn("the stored configuration of \(plan.domain.name) was removed by someone else and stays removed")
        }
        guard let savedXML = plan.savedXML ?? stored else {
            throw plan.failure("the domain's configuration was not saved", .configurationFailed)
        }
        let agreed = try await agrees(stored, plan, live)
        let isRefused = try stored.map { (xml) throws(SwapFailure) in
            try DomainXML.keepsRefusedSetting(xml, disk: plan.disk, on: plan.destination.location, savedXML: savedXML)
        }
        if !agreed || isRefused == true {
            if let stored {
                try await define(try await naming(plan, live, in: stored))
            } else {
                try await defineAgain(savedXML, plan) { try await naming(plan, live, in: $0) }
            }
        } else if stored != nil {
            try await hypervisor.saveDefinition(plan.domain)
        }
        try await restoreAutostart(plan)
        let after = try await storedConfiguration(plan)
        if after == nil, !control.marks.owesDefinition { return try await storeDefinition(plan, live) }
        if agreed, isRefused != true, after == stored { return }
        guard try await agrees(after, plan, live) else {
            throw HypervisorError(.other, "it does not name the new volume after the write")
        }
    }

    /// A stored configuration with the disk on the new volume. A disk that is not in it is not added.
    private func naming(_ plan: SwapPlan, _ live: DiskDescription?, in xml: String) async throws -> String {
        guard try DomainDescription(xml: xml).disk(plan.disk) != nil else { return xml }
        guard let live, differs(live, plan) else {
            return try DomainXML.settingSource(xml, disk: plan.disk, to: plan.destination)
        }
        // The next start must find what runs now.
        let running = try await hypervisor.xml(plan.domain, .live)
        return try DomainXML.takingSource(xml, disk: plan.disk, from: running)
    }

    func storedConfiguration(_ plan: SwapPlan) async throws(HypervisorError) -> String? {
        guard try await hypervisor.statusIfKnown(plan.domain)?.isPersistent == true else { return nil }
        return try await hypervisor.xml(plan.domain, .inactive)
    }

    private func agrees(_ xml: String?, _ plan: SwapPlan, _ live: DiskDescription?) async throws -> Bool {
        guard let xml else { return false }
        // A disk that only the running domain has is not in the stored configuration.
        guard let disk = try DomainDescription(xml: xml).disk(plan.disk) else { return true }
        guard let location = disk.location, !disk.hasSlices, disk.format == live?.format ?? plan.destination.format,
            disk.isEncrypted == live?.isEncrypted ?? (plan.destination.encryption != nil)
        else { return false }
        return try await inspector.place(of: location, plan) == .new
    }

    private func differs(_ live: DiskDescription, _ plan: SwapPlan) -> Bool {
        live.format != plan.destination.format || live.isEncrypted != (plan.destination.encryption != nil)
    }

    private func warnOfDifferences(_ plan: SwapPlan, _ live: DiskDescription) {
        if differs(live, plan) {
            control.warn(
                "the disk runs and is stored as \(live.format ?? "?"), although \(plan.destination.format) was requested")
        }
        guard live.keptElements != plan.keptElements else { return }
        let (before, after) = (plan.keptElements, live.keptElements)
        let changes =
            before.filter { !after.contains($0) }.map { "-\($0)" } + after.filter { !before.contains($0) }.map { "+\($0)" }
        control.warn("libvirt changed more of the disk's description than its source: \(changes.joined(separator: " "))")
    }

    private func warnOfSize(_ plan: SwapPlan) {
        guard plan.resizeToBytes == nil, plan.newBytes.map({ $0 > plan.oldBytes }) ?? plan.usesSlice else { return }
        let size = plan.newBytes.map { " of \($0) bytes" } ?? ""
        control.warn(
            "the new volume\(size) is larger than the old one: the guest keeps \(plan.oldBytes) bytes until it is resized or started again"
        )
    }

    func define(_ xml: String) async throws(HypervisorError) {
        try await hypervisor.define(xml: xml)
        let wasOwed = control.marks.owesDefinition
        control.marks.oweDefinition(false)
        if wasOwed { await journalDefinition() }
    }

    /// Journals that the definition is restored: from now on a removal is someone else's intention, even after a restart.
    private func journalDefinition() async {
        guard var plan = control.plan else { return }
        plan.isDefinedAgain = true
        await journal(plan, in: control.phase, "the domain is defined again")
    }

    /// Defines the domain from its saved definition, updated with what changed while there was no stored configuration.
    ///
    /// - Parameter edit: sets the swap's own disk.
    func defineAgain(_ savedXML: String, _ plan: SwapPlan, edit: (String) async throws -> String) async throws {
        let live = plan.liveDevices == nil ? nil : try await lastLive(plan)
        let restorer = DefinitionRestorer(savedXML: savedXML, known: plan.liveDevices, disk: plan.disk, liveXML: live)
        let warnings = try await restorer.restore(edit: edit) { (xml) throws(HypervisorError) in try await define(xml) }
        for warning in warnings { logger.warning("\(warning)") }
        control.marks.leave(warnings)
    }

    /// The running domain's configuration, or, once it has stopped, as it was last seen.
    private func lastLive(_ plan: SwapPlan) async throws -> String? {
        if try await hypervisor.statusIfKnown(plan.domain)?.isActive == true {
            let xml = try await hypervisor.xml(plan.domain, .live)
            control.marks.note(liveXML: xml, at: clock.now)
            return xml
        }
        let last = control.marks.liveXML
        if last.map({ clock.now - $0.at > Self.liveAge }) ?? true {
            let since =
                last.map { "in the last \((clock.now - $0.at).components.seconds) s" } ?? "after its definition was removed"
            let lost = "the guest has stopped: what was plugged into it or out of it \(since) is not known"
            logger.warning("\(lost)")
            control.marks.leave([lost])
        }
        return last?.xml
    }

    /// How old the last look at a guest that has stopped may be without a warning.
    private static let liveAge = Duration.seconds(15)

    /// Remembers the running configuration of a domain without a stored one, which is lost when the guest stops.
    func noteLive(_ plan: SwapPlan) async {
        guard plan.isUndefined, control.marks.isLiveXMLDue(at: clock.now) else { return }
        if let xml = try? await hypervisor.xml(plan.domain, .live) { control.marks.note(liveXML: xml, at: clock.now) }
    }

    private func releaseOld(_ plan: SwapPlan) async -> [String] {
        var secret: String?
        if case .network(let network) = plan.oldLocation, let uuid = network.driver?.ownSecret(for: network) {
            do throws(HypervisorError) {
                secret = try await hypervisor.hasSecret(uuid: uuid) ? uuid : nil
            } catch {
                return ["whether libvirt still has the secret of \(plan.oldLocation) could not be determined: \(error)"]
            }
        }
        let isAtHost = plan.oldLocation.path != nil || plan.oldLocation.isOther
        let isConnected = isAtHost && request.oldConnection.driver.isHostAttached
        guard isConnected || secret != nil else { return [] }
        // Keeps other swaps from connecting it while it is being disconnected.
        if let other = environment.reservations.claimToDisconnect(await oldIdentity(plan), for: record.id) {
            return ["\(plan.oldLocation) stays connected: task \(other) is about to use it"]
        }
        return await environment.release.release(
            request.oldConnection, plan.oldLocation, isConnected: isConnected, madeSecret: secret, volumeID: request.oldVolumeID,
            except: .init(domain: plan.domain.uuid, disk: plan.disk))
    }

    private func oldIdentity(_ plan: SwapPlan) async -> VolumeIdentity {
        let named = VolumeIdentity(ids: request.oldVolumeIDs).union(request.oldConnection.identity)
        guard !plan.oldLocation.isOther else { return named }
        return named.union(await VolumeIdentifier(hypervisor: hypervisor).identity(of: plan.oldLocation).identity)
    }
}
