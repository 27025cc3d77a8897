import Basics
import Logging

extension SwapSteps {
    /// How long to wait for the event that reports a job's end when the guest is gone.
    private static let grace = Duration.seconds(3)

    /// Requests the pivot and finds out the result. There is no time limit: until the result is known, nobody is answered.
    func pivot(_ plan: SwapPlan) async -> SwapInput {
        if let refusal = await refusal(plan) { return refusal }
        var group = control.enteredGroup
        var cause = "the pivot failed"
        do {
            try await hypervisor.blockJobAbort(plan.domain, disk: plan.disk, pivot: true)
        } catch {
            if error.code == .notReady { return .notReady(plan.failure("the copy was not ready for the pivot: \(error)")) }
            // The disk will show whether libvirt received the request.
            cause += ": \(error)"
        }
        var backoff = Backoff(first: .milliseconds(100))
        var end: BlockJobStatus?
        var goneSince: ContinuousClock.Instant?
        while !Task.isCancelled {
            let event = await wait(plan.disk, atMost: backoff.pause())
            if case .blockJob(_, let status, _) = event, status != .ready { end = status }
            if group?.isOver == true {
                await storeOwnPivot(plan, group?.warning)
                group = nil
            }
            let sight = await look(plan)
            if end == nil, sight.isGone || sight == .onOldUnverified {
                // The event that reports how the job ended may still arrive.
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

    /// Waits for what the pivot needs: the instance's turn, or, in a group, the guest's pause.
    ///
    /// - Returns: the step's result if there is to be no pivot.
    private func refusal(_ plan: SwapPlan) async -> SwapInput? {
        guard let group = control.enteredGroup, !group.isOver else {
            if control.isHeldBack { return heldAgain() }
            return await takeTurn(plan) ? nil : .interrupted
        }
        switch control.isHeldBack ? .standDown("") : await group.arrive(record.id) {
        case .pivot: return nil
        case .standDown: return heldAgain()
        case nil: return .interrupted
        }
    }

    private func heldAgain() -> SwapInput {
        environment.journal.note(record.id, .ready)
        return .heldAgain
    }

    /// Stores that the guest runs again although this pivot, which was its group's, is still under way.
    private func storeOwnPivot(_ plan: SwapPlan, _ warning: String?) async {
        var plan = plan
        if let warning { plan.warnings.append(warning) }
        await journal(plan, in: .pivoting, "the guest runs again")
    }

    /// - Returns: nil until it is known which volume the guest runs on.
    private func afterPivot(_ plan: SwapPlan, _ sight: DiskSight, _ cause: String, _ end: BlockJobStatus?) -> SwapInput? {
        switch sight {
        case .onNew, .stopped(stored: .new): return .foundOnNew
        case .onOld, .forgottenMirror: return .foundOnOld(plan.failure(cause))
        case .onOldUnverified:
            // With such an event the pivot has failed; otherwise libvirt may have lost track of it.
            let isTold = end == .failed || end == .canceled
            return .foundOnOld(isTold ? plan.failure(cause) : plan.failure(cause).inDoubt)
        case .copying: return .notReady(plan.failure(cause))
        case .pivotedUnnoticed: return .pivotedUnnoticed(plan.failure(cause))
        case .unnamedCopy, .strayCopy, .foreignJob, .elsewhere:
            return .foundOnOld(plan.failure("\(cause); the copy is gone"))
        case .stopped, .missing:
            // The event shows that it had pivoted before it went away.
            if end == .completed { return .foundOnNew }
            return .foundOnOld(
                plan.failure("\(cause); the guest has since gone from libvirt, and \(SwapFailure.keepBoth)", .guestGone))
        case .ending:
            note("the pivot is under way: the new volume is still flushing its writes")
            return nil
        case .unknown(let why):
            note(why)
            return nil
        }
    }

    /// Brings a guest back to the volume that libvirt believes it runs on.
    func mirrorBack(_ plan: SwapPlan) async -> SwapInput {
        guard await takeTurn(plan) else { return .interrupted }
        logger.error("libvirt has lost track of a pivot: mirroring the disk back to \(plan.oldLocation)")
        do {
            try await ensure { () async throws(HypervisorError) in
                try await hypervisor.mirrorBack(plan.domain, disk: plan.disk)
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

    /// Lets the guest use the full requested size.
    func grow(_ plan: SwapPlan) async -> SwapInput {
        guard let target = plan.resizeToBytes else { return .resized(plan.oldBytes) }
        guard await takeTurn(plan) else { return .interrupted }
        do {
            try await ensure(for: environment.settings.storeRetry) { () async throws(HypervisorError) in
                try await hypervisor.grow(plan.domain, disk: plan.disk, toBytes: target)
            } isDone: { () async throws(HypervisorError) in
                // The capacity proves nothing: it is the volume's own before the guest sees it.
                false
            }
            return .resized((try? await hypervisor.capacity(plan.domain, disk: plan.disk)) ?? target)
        } catch is CancellationError {
            return .interrupted
        } catch {
            // Do not ask the hypervisor: without the window it reports the volume's size, which the guest does not see yet.
            let bytes = plan.oldBytes
            logger.error("moved, but not resized: \(error)")
            return .notResized(
                bytes, "the guest keeps \(bytes) bytes; it could not be given the requested \(target) bytes: \(error)")
        }
    }
}
