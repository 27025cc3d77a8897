import Foundation
import Logging

/// The steps of one swap, each a piece of IO with one result for the machine.
final class SwapSteps: Sendable {
    let environment: SwapEnvironment
    let record: SwapRecord
    let request: SwapRequest
    let control: SwapControl

    init(environment: SwapEnvironment, record: SwapRecord, request: SwapRequest, control: SwapControl) {
        self.environment = environment
        self.record = record
        self.request = request
        self.control = control
    }

    /// Made when it is needed: most swaps have nothing to tell.
    var logger: Logger {
        var logger = environment.logger
        logger[metadataKey: "task_id"] = "\(record.id)"
        logger[metadataKey: "instance"] = "\(request.instance)"
        logger[metadataKey: "disk"] = "\(request.disk)"
        return logger
    }

    var hypervisor: any Hypervisor { environment.hypervisor }

    /// Seconds since the task was started, by any process.
    var age: Double { Date.now.timeIntervalSince(record.startedAt ?? record.acceptedAt) }

    /// A failure that names the disk, both volumes and the cause.
    func failure(_ plan: SwapPlan, _ cause: String) -> SwapFailure {
        .rebaseFailed("disk \(plan.disk), \(plan.oldLocation) to \(plan.destination.location): \(cause)")
    }

    func prepare() async -> SwapInput {
        hypervisor.expect(request)
        do {
            let preflight = SwapPreflight(environment: environment, request: request)
            let input = try await preflight.run()
            if case .prepared(let plan) = input { environment.observer.started(record, plan) }
            if case .adopted(let plan) = input { environment.observer.started(record, plan) }
            return input
        } catch let failure as SwapFailure {
            return .failed(failure)
        } catch {
            return .failed(.rebaseFailed("disk \(request.disk): \(error)"))
        }
    }

    /// Takes the persistent definition away, as `virDomainBlockRebase` demands; a copy of it stays with the live domain.
    func undefine(_ plan: SwapPlan) async -> SwapInput {
        guard let savedXML = plan.savedXML else { return .failed(failure(plan, "the domain's configuration was not saved")) }
        do {
            let metadata = DomainXML.recoveryMetadata(task: record.id, disk: plan.disk, definition: savedXML)
            try await settle { () async throws(HypervisorError) in
                try await hypervisor.setRecoveryMetadata(plan.domain, metadata)
            } isDone: { () async throws(HypervisorError) in
                false
            }
            try await settle { () async throws(HypervisorError) in
                try await hypervisor.undefine(plan.domain)
            } isDone: { () async throws(HypervisorError) in
                try await !hypervisor.status(plan.domain).isPersistent
            }
            return .done
        } catch {
            return .failed(failure(plan, "the domain could not be undefined: \(error)"))
        }
    }

    func subscribe(_ domain: DomainIdentity, _ events: HypervisorEvents) async {
        do {
            try await hypervisor.subscribe(events, to: domain)
        } catch {
            // The looks at the job go on without events: slower, not wrong.
            control.warn("no events from the hypervisor: \(error)")
            logger.warning("events: \(error)")
        }
    }

    /// Ends a stale copy, then starts ours. Events are asked for before.
    func start(_ plan: SwapPlan, _ events: HypervisorEvents) async -> SwapInput {
        do {
            if try await hypervisor.blockJobInfo(plan.domain, disk: plan.disk)?.isCopy == true {
                logger.notice("ending a stale copy job")
                try await hypervisor.blockJobAbort(plan.domain, disk: plan.disk, pivot: false)
            }
            await subscribe(plan.domain, events)
            try await settle { () async throws(HypervisorError) in
                try await startCopy(plan)
            } isDone: { () async throws(HypervisorError) in
                try await isCopying(plan)
            }
            if plan.options.detectZeroes { try await unmapZeroes(plan) }
            return .done
        } catch {
            return ended(plan, cause: error.description)
        }
    }

    /// Lets the copy, which was started slowly for this, go on at its full speed once it leaves zeroes out.
    private func unmapZeroes(_ plan: SwapPlan) async throws(HypervisorError) {
        do throws(HypervisorError) {
            try await hypervisor.unmapZeroes(plan.domain, disk: plan.disk, sliceBytes: plan.sliceBytes)
        } catch {
            control.warn("detect_zeroes: zeroes may have been allocated on the new volume: \(error)")
            logger.warning("detect_zeroes: \(error)")
        }
        try await settle { () async throws(HypervisorError) in
            guard try await hypervisor.blockJobInfo(plan.domain, disk: plan.disk) != nil else { return }
            try await hypervisor.blockJobSetSpeed(plan.domain, disk: plan.disk, bytesPerSecond: plan.options.bandwidthMiBs << 20)
        } isDone: { () async throws(HypervisorError) in
            false
        }
    }

    /// Whether the copy that a lost connection left in doubt is under way.
    ///
    /// A libvirtd that died before it had noted the copy's destination knows the job all the same. It must never be asked to pivot
    /// such a job (9.0 crashes on it), so the job is ended here, to be begun again.
    private func isCopying(_ plan: SwapPlan) async throws(HypervisorError) -> Bool {
        guard try await hypervisor.blockJobInfo(plan.domain, disk: plan.disk) != nil else { return false }
        if try await hypervisor.description(plan.domain, .live).disk(plan.disk)?.mirror != nil { return true }
        logger.warning("libvirt has forgotten where the copy goes: ending it, to begin again")
        try await hypervisor.blockJobAbort(plan.domain, disk: plan.disk, pivot: false)
        return false
    }

    private func startCopy(_ plan: SwapPlan) async throws(HypervisorError) {
        let bandwidth = plan.options.bandwidthMiBs << 20
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

    /// What a job's end means, by its cause.
    func ended(_ plan: SwapPlan, cause: String) -> SwapInput {
        if cause.contains("different sizes") { return .sizesDiffer(failure(plan, cause)) }
        if plan.usesSlice, cause.contains("actual size of the containing file") {
            return .failed(
                .invalidVolume("the new volume \(plan.destination.location) is smaller than the old one's \(plan.oldBytes) bytes")
            )
        }
        return .failed(failure(plan, cause))
    }

    /// The size of a network volume is known once QEMU has opened it: too small for `resize_to` ends the copy early.
    func checkGrownSize(_ plan: SwapPlan) async -> SwapFailure? {
        guard let target = plan.resizeToBytes, plan.newBytes == nil,
            let size = try? await hypervisor.mirrorCapacity(plan.domain, disk: plan.disk), size < target
        else { return nil }
        return .invalidVolume("the new volume \(plan.destination.location) has \(size) bytes, resize_to asks for \(target)")
    }

    func isMirrorReady(_ plan: SwapPlan) async throws(HypervisorError) -> Bool {
        try await hypervisor.description(plan.domain, .live).disk(plan.disk)?.mirror?.ready == "yes"
    }

    func pivot(_ plan: SwapPlan) async -> SwapInput {
        do {
            try await hypervisor.blockJobAbort(plan.domain, disk: plan.disk, pivot: true)
            return .done
        } catch let error where error.code == .notReady {
            return .notReady
        } catch let error where error.code == .connectionLost {
            await hypervisor.waitUntilConnected()
            // Whether libvirt heard the request shows in what runs; if it did not, it is asked again.
            let found = await locate(plan, orFail: failure(plan, error.description))
            guard case .foundOnOld = found else { return found }
            if (try? await hypervisor.blockJobInfo(plan.domain, disk: plan.disk)) ?? nil != nil { return .notReady }
            guard (try? await hypervisor.statusIfKnown(plan.domain))??.isActive == true else {
                return .foundOnOld(failure(plan, "\(error); the guest is gone from libvirt since, and \(SwapFailure.keepBoth)"))
            }
            return found
        } catch {
            return await locate(plan, orFail: failure(plan, "the pivot failed: \(error)"))
        }
    }

    /// Which volume the domain is on, when a job went away or a pivot's answer was an error.
    func locate(_ plan: SwapPlan, orFail failure: SwapFailure) async -> SwapInput {
        do {
            let status = try await hypervisor.status(plan.domain)
            // A libvirtd that has just come back answers this only when it has read the end of the job in QEMU.
            if status.isActive { _ = try await hypervisor.blockJobInfo(plan.domain, disk: plan.disk) }
            // Of a stopped domain the stored configuration tells: libvirt changes it together with the live one at the pivot.
            let view = status.isActive ? XMLView.live : .inactive
            if try await isOnNew(plan, view) { return .foundOnNew }
            guard status.isActive else { return .foundOnOld(failure) }
            if try await hypervisor.hasLostTrack(plan.domain, disk: plan.disk) { return .lostTrack(failure) }
            // While QEMU was asked, libvirt may have noted a pivot.
            return try await isOnNew(plan, view) ? .foundOnNew : .foundOnOld(failure)
        } catch {
            return .foundOnOld(failure)
        }
    }

    private func isOnNew(_ plan: SwapPlan, _ view: XMLView) async throws(HypervisorError) -> Bool {
        guard let location = try await hypervisor.description(plan.domain, view).disk(plan.disk)?.location else { return false }
        return try await isDestination(location, plan)
    }

    /// Brings a guest back to the volume that libvirt believes it to be on.
    func bringBack(_ plan: SwapPlan) async -> SwapInput {
        logger.error("libvirt has lost track of a pivot: mirroring the disk back to \(plan.oldLocation)")
        do {
            try await hypervisor.bringBack(plan.domain, disk: plan.disk)
            return .done
        } catch {
            return .failed(
                failure(
                    plan,
                    """
                    the guest runs on the new volume, but libvirt still names the old one, and the disk could not be mirrored back: \
                    \(error). Keep both volumes; stop the guest and start it again on the new one
                    """))
        }
    }

    /// Makes a write that a lost connection leaves in doubt: look whether it was done, else do it again.
    func settle(
        _ write: () async throws(HypervisorError) -> Void, isDone: () async throws(HypervisorError) -> Bool
    ) async throws(HypervisorError) {
        while true {
            do {
                return try await write()
            } catch let error where error.code == .connectionLost {
                await hypervisor.waitUntilConnected()
                if try await isDone() { return }
            }
        }
    }
}
