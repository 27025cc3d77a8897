import Basics
import Logging

extension SwapSteps {
    /// How long the event that tells a job's end is waited for when the guest is gone.
    private static let grace = Duration.seconds(3)

    /// Asks for the pivot and finds out what came of it. There is no time limit: as long as that is not known, nobody is answered.
    func pivot(_ plan: SwapPlan) async -> SwapInput {
        var cause = "the pivot failed"
        do {
            try await hypervisor.blockJobAbort(plan.domain, disk: plan.disk, pivot: true)
        } catch {
            if error.code == .notReady { return .notReady(plan.failure("the copy was not ready for the pivot: \(error)")) }
            // Whether libvirt heard the request shows in what runs.
            cause += ": \(error)"
        }
        var backoff = Backoff(first: .milliseconds(100))
        var end: BlockJobStatus?
        var goneSince: ContinuousClock.Instant?
        while !Task.isCancelled {
            let event = await wait(plan.disk, atMost: backoff.pause())
            if case .blockJob(_, let status, _) = event, status != .ready { end = status }
            let sight = await look(plan)
            if end == nil, sight.isGone {
                // The event that tells how the job ended may be on its way.
                let since = goneSince ?? clock.now
                goneSince = since
                if clock.now - since < Self.grace { continue }
            }
            if let input = afterPivot(plan, sight, cause, end) {
                note(nil)
                return input
            }
        }
        return .interrupted
    }

    /// - Returns: nil as long as it is not known which volume the guest runs on.
    private func afterPivot(_ plan: SwapPlan, _ sight: DiskSight, _ cause: String, _ end: BlockJobStatus?) -> SwapInput? {
        switch sight {
        case .onNew, .stopped(stored: .new): return .foundOnNew
        case .onOld, .forgottenMirror: return .foundOnOld(plan.failure(cause))
        case .onOldUnverified:
            // Told by the event, the pivot has failed; else libvirt may have lost track of it.
            let isTold = end == .failed || end == .canceled
            return .foundOnOld(isTold ? plan.failure(cause) : plan.failure(cause).inDoubt)
        case .copying: return .notReady(plan.failure(cause))
        case .pivotedUnnoticed: return .pivotedUnnoticed(plan.failure(cause))
        case .unnamedCopy, .strayCopy, .foreignJob, .elsewhere:
            return .foundOnOld(plan.failure("\(cause); the copy is no longer there"))
        case .stopped, .missing:
            // Told by the event, it had pivoted before it went away.
            if end == .completed { return .foundOnNew }
            return .foundOnOld(
                plan.failure("\(cause); the guest is gone from libvirt since, and \(SwapFailure.keepBoth)", .guestGone))
        case .ending:
            note("the pivot is under way: the new volume has not written everything out yet")
            return nil
        case .unknown(let why):
            note(why)
            return nil
        }
    }

    /// Brings a guest back to the volume that libvirt believes it to be on.
    func mirrorBack(_ plan: SwapPlan) async -> SwapInput {
        logger.error("libvirt has lost track of a pivot: mirroring the disk back to \(plan.oldLocation)")
        do {
            try await settle { () async throws(HypervisorError) in
                try await hypervisor.mirrorBack(plan.domain, disk: plan.disk)
            } isDone: { () async throws(HypervisorError) in
                false
            }
            return .done
        } catch is CancellationError {
            return .interrupted
        } catch {
            return .failed(
                plan.failure(
                    """
                    the guest runs on the new volume, but libvirt still names the old one, and the disk could not be mirrored back: \
                    \(error). Keep both volumes; stop the guest and start it again on the new one
                    """, .hypervisorRefused))
        }
    }

    /// Lets the guest use the whole size asked for.
    func grow(_ plan: SwapPlan) async -> SwapInput {
        guard let target = plan.resizeToBytes else { return .resized(plan.oldBytes) }
        do {
            try await settle(for: environment.settings.storeRetry) { () async throws(HypervisorError) in
                try await hypervisor.grow(plan.domain, disk: plan.disk, toBytes: target)
            } isDone: { () async throws(HypervisorError) in
                // The capacity tells nothing: it is the volume's own before the guest hears of it.
                false
            }
            return .resized((try? await hypervisor.capacity(plan.domain, disk: plan.disk)) ?? target)
        } catch is CancellationError {
            return .interrupted
        } catch {
            // Not asked of the hypervisor: without the window it tells the volume's size, of which the guest has not heard.
            let bytes = plan.oldBytes
            logger.error("moved, but not resized: \(error)")
            return .notResized(
                bytes, "the guest keeps \(bytes) bytes, it could not be given the \(target) bytes that were asked for: \(error)")
        }
    }
}
