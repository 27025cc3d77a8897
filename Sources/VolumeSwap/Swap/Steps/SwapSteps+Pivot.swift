import Basics
import Logging

extension SwapSteps {
    /// How long to wait for the event that reports a job's end when the guest is gone.
    private static let grace = Duration.seconds(3)
    /// How long to wait for QEMU's reason when the job is gone: a guest may be paused meanwhile.
    private static let shortGrace = Duration.milliseconds(500)

    /// Requests the pivot and finds out the result. There is no time limit: until the result is known, nobody is answered.
    func pivot(_ plan: SwapPlan) async -> SwapInput {
        if let refusal = await refusal(plan) { return refusal }
        var group = control.enteredGroup
        var news = PivotNews()
        do {
            try await hypervisor.blockJobAbort(plan.domain, disk: plan.disk, pivot: true)
        } catch {
            if error.code == .notReady { return .notReady(plan.failure("the copy was not ready for the pivot: \(error)")) }
            // The disk will show whether libvirt received the request.
            news.error = error
        }
        var backoff = Backoff(first: .milliseconds(100))
        var goneSince: ContinuousClock.Instant?
        while !Task.isCancelled {
            let event = await wait(plan.disk, atMost: backoff.pause())
            news.take(event)
            if group?.isOver == true {
                await storeOwnPivot(plan, group?.warning)
                group = nil
            }
            let sight = await look(plan)
            if let limit = grace(sight, news) {
                // The events that report how and why the job ended may still arrive.
                let since = goneSince ?? clock.now
                goneSince = since
                if clock.now - since < limit { continue }
            }
            if let input = afterPivot(plan, sight, news) {
                note(nil)
                return input
            }
        }
        return .interrupted
    }

    /// How long to wait for events before the disk's state counts; nil if it does at once.
    private func grace(_ sight: DiskSight, _ news: PivotNews) -> Duration? {
        if news.end == nil, sight.isGone || sight == .onOldUnverified { return Self.grace }
        let isOver = sight == .onOld || sight == .onOldUnverified || sight == .forgottenMirror
        return isOver && news.reason == nil ? Self.shortGrace : nil
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
    private func afterPivot(_ plan: SwapPlan, _ sight: DiskSight, _ news: PivotNews) -> SwapInput? {
        let cause = news.cause
        switch sight {
        case .onNew, .stopped(stored: .new): return .foundOnNew
        case .onOld where news.isOfEarlierLife, .forgottenMirror where news.isOfEarlierLife, .restartedOnOld:
            return .foundOnOld(plan.failure(cause, .guestGone).afterRestart)
        case .onOld, .forgottenMirror: return .foundOnOld(plan.failure(cause))
        case .onOldUnverified:
            // Otherwise libvirt may have lost track of it.
            return .foundOnOld(news.hasFailed ? plan.failure(cause) : plan.failure(cause).inDoubt)
        case .copying: return .notReady(plan.failure(cause))
        case .pivotedUnnoticed: return .pivotedUnnoticed(plan.failure(cause))
        case .unnamedCopy, .strayCopy, .foreignJob, .elsewhere:
            return .foundOnOld(plan.failure("\(cause); the copy is gone"))
        case .stopped, .missing:
            // The event shows that it had pivoted before it went away.
            if news.end == .completed { return .foundOnNew }
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

/// What libvirt and QEMU have said about a pivot. Which volume the guest is on, only the disk shows.
private struct PivotNews {
    /// libvirt's answer to the request, unless it has taken it.
    var error: HypervisorError?
    /// How the job ended.
    private(set) var end: BlockJobStatus?
    /// Why, in QEMU's words.
    private(set) var reason: String?
    private var hasStopped = false

    /// Whether the job's end shows that the pivot has failed.
    var hasFailed: Bool { end == .failed || end == .canceled }
    /// Whether a guest that runs has been started again since, and may have moved before.
    var isOfEarlierLife: Bool { hasStopped && !hasFailed }

    mutating func take(_ event: HypervisorEvent?) {
        switch event {
        case .blockJob(_, let status, _): if status != .ready { end = status }
        case .jobError(_, let message): reason = MirrorWatch.cause(message, after: reason)
        case .stopped(let why):
            hasStopped = true
            reason = reason ?? "the guest went away: \(why)"
        case .recheck, nil: break
        }
    }

    /// Why the pivot failed, if it did.
    var cause: String {
        let reasons = [error?.description, reason].compactMap(\.self)
        return reasons.isEmpty ? "the pivot failed" : "the pivot failed: \(reasons.joined(separator: "; "))"
    }
}
