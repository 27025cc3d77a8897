import Logging
import Synchronization

/// Waits until the mirror is in step: by libvirt's event, and by looks now and then, which find what no event has told.
///
/// A look runs beside the waiting, for it may hang as long as libvirt or QEMU does; time-outs and aborts do not wait for it.
struct MirrorWatcher {
    /// With so few bytes left the mirror may be in step, of which READY is told once only.
    private static let fewBytes: Int64 = 64 << 20
    /// How long the events that explain the end of a job are waited for: libvirt tells the end of a killed QEMU up to two seconds late.
    private static let grace = Duration.seconds(3)

    let steps: SwapSteps
    /// When the copy was asked for; nil for one that was adopted.
    var copyBegan: ContinuousClock.Instant?
    /// When READY arrived.
    private(set) var readyAt: ContinuousClock.Instant?
    /// The cursor of the last look since READY; nil before it.
    private var cursorInStep: Int64?
    private var backoffInStep = Backoff()
    /// The end of a job as its event told it, and how many looks had begun by then.
    private var endTold: (status: BlockJobStatus, looks: Int)?
    private var looks = 0
    /// Why the job ended, in QEMU's words.
    private var cause: String?
    /// When the job was first seen to be gone; its events may still be on their way.
    private var goneSince: ContinuousClock.Instant?

    init(steps: SwapSteps) { self.steps = steps }

    /// The time that the copy itself took.
    var copyTime: Duration? {
        guard let copyBegan, let readyAt else { return nil }
        return readyAt - copyBegan
    }

    private var clock: any SwapClock { steps.clock }

    mutating func awaitMirror(_ plan: SwapPlan) async -> SwapInput {
        (endTold, cause, goneSince, readyAt, cursorInStep) = (nil, nil, nil, nil, nil)
        backoffInStep = Backoff(first: .milliseconds(100), longest: .seconds(2))
        await steps.subscribe(plan.domain)
        let isAdopted = copyBegan == nil
        let first = await steps.untilInterrupted(plan) { [steps] in
            if let refusal = await steps.checkGrownSize(plan) { return .failed(refusal) }
            if isAdopted { await Self.setPlannedSpeed(steps, plan) }
            return .done
        }
        guard case .done = first else { return first }
        let latest = LatestSample()
        return await withTaskGroup(of: Void.self) { group in
            defer { group.cancelAll() }
            return await watch(plan, &group, latest)
        }
    }

    /// The limit that was asked for: a copy that is adopted may run at that of an earlier start.
    private static func setPlannedSpeed(_ steps: SwapSteps, _ plan: SwapPlan) async {
        do {
            try await steps.setPlannedSpeed(plan)
        } catch {
            steps.logger.warning("the speed of the adopted copy could not be set: \(error)")
        }
    }

    private mutating func watch(_ plan: SwapPlan, _ group: inout TaskGroup<Void>, _ latest: LatestSample) async -> SwapInput {
        var copy = CopyWatch(stallTimeoutS: plan.options.stallTimeoutS, now: clock.now)
        let (steps, events, isAdopted) = (steps, steps.events, copyBegan == nil)
        var (isLooking, isWanted) = (false, true)
        var ticker: ScheduledAction?
        defer { ticker?.cancel() }
        // An adopted copy was in step before anybody listened; a small one is by now.
        events.post(.recheck)
        for await event in events {
            if take(event, plan) { isWanted = true }
            if let interruption = steps.interruption(plan) { return .failed(interruption) }
            if let sample = latest.take() {
                isLooking = false
                if let input = judge(sample, plan, &copy) { return input }
            } else if event == .recheck {
                isWanted = true
            }
            if copy.isStalled(now: clock.now) { return .failed(stalled(plan, copy)) }
            if isWanted, !isLooking {
                (isLooking, isWanted) = (true, false)
                looks += 1
                let isFull = isAdopted || readyAt != nil
                group.addTask {
                    latest.put(await Self.look(steps, plan, isFull: isFull))
                    events.post(.recheck)
                }
            }
            ticker?.cancel()
            // The pace of progress reports and time-outs, not of the copy: READY comes by event.
            ticker = clock.schedule(after: steps.environment.settings.sampleInterval) { events.post(.recheck) }
        }
        return .interrupted
    }

    /// - Returns: true when the event calls for a look.
    private mutating func take(_ event: HypervisorEvent, _ plan: SwapPlan) -> Bool {
        switch event {
        case .blockJob(plan.disk, .ready, let at):
            readyAt = readyAt ?? at
            return true
        case .blockJob(plan.disk, let status, _):
            endTold = (status, looks)
            return true
        case .jobError(plan.disk, let message):
            // QEMU tells the failed operation first, then the error it ended with.
            cause = cause.map { $0 == message ? message : "\(message) (\($0))" } ?? message
            return false
        case .stopped(let reason):
            cause = "the guest went away during the copy: \(reason)"
            return true
        case .blockJob, .jobError, .recheck:
            return false
        }
    }

    private static func look(_ steps: SwapSteps, _ plan: SwapPlan, isFull: Bool) async
        -> LatestSample.Sample
    {
        await applyBandwidth(steps, plan)
        let job = try? await steps.hypervisor.blockJobInfo(plan.domain, disk: plan.disk)
        // Before a pivot libvirt has to have shown where the copy goes: of one that it has forgotten it tells READY all the same.
        if let job = job ?? nil, job.isCopy, job.remaining > fewBytes, !isFull {
            return .init(sight: .copying(isReady: false), job: job)
        }
        return .init(sight: await steps.look(plan), job: job ?? nil)
    }

    private static func applyBandwidth(_ steps: SwapSteps, _ plan: SwapPlan) async {
        guard let mibS = steps.control.takeBandwidth() else { return }
        do {
            try await steps.hypervisor.blockJobSetSpeed(plan.domain, disk: plan.disk, bytesPerSecond: mibS << 20)
        } catch {
            steps.control.warn("set_bandwidth \(mibS) MiB/s: \(error)")
            steps.logger.warning("bandwidth: \(error)")
        }
    }

    /// - Returns: nil while the copy goes on, or nothing is known.
    private mutating func judge(_ sample: LatestSample.Sample, _ plan: SwapPlan, _ copy: inout CopyWatch) -> SwapInput? {
        switch sample.sight {
        case .copying(let isReady):
            // The event of another job, which had ended before ours began.
            if let told = endTold, told.looks < looks { endTold = nil }
            goneSince = nil
            steps.note(nil)
            if let job = sample.job { copy.sample(job, now: clock.now) }
            if isReady { readyAt = readyAt ?? clock.now }
            let canPivot = isReady && isTaking(sample.job)
            if canPivot { copy.finish(atLeast: plan.oldBytes) }
            report(plan, copy)
            return canPivot ? .mirrorReady : nil
        case .onNew, .stopped(stored: .new): return .foundOnNew
        case .pivotedUnnoticed: return .pivotedUnnoticed(steps.failure(plan, cause ?? "libvirt has lost track of the copy"))
        case .onOld, .onOldUnverified, .forgottenMirror: return gone(plan)
        case .stopped, .missing: return guestGone(plan)
        case .foreignJob:
            return .foundOnOld(steps.failure(plan, "another job has taken the place of the copy", .foreignJob))
        case .unnamedCopy:
            return .failed(steps.failure(plan, "libvirt has forgotten where the copy goes"))
        case .elsewhere, .strayCopy:
            return .failed(steps.failure(plan, "the disk has left the old volume, and is not on the new one"))
        case .ending(let pivot):
            steps.note("somebody else's \(pivot ? "pivot" : "cancel") of the copy is under way")
            return nil
        case .unknown(let why):
            steps.note(why)
            return nil
        }
    }

    /// Whether the new volume takes what is written to it: with requests that hang there a pivot stops the whole guest, and a libvirtd
    /// that is restarted meanwhile kills it.
    private mutating func isTaking(_ job: BlockJobInfo?) -> Bool {
        guard let job else { return false }
        defer { cursorInStep = job.cursor }
        if job.remaining == 0 { return true }
        if let cursorInStep, cursorInStep != job.cursor { return true }
        clock.post(.recheck, to: steps.events, after: backoffInStep.pause())
        return false
    }

    /// The job is not there: what explains it may still be on its way.
    private mutating func gone(_ plan: SwapPlan) -> SwapInput? {
        guard let status = endTold?.status else {
            guard isOver(since: &goneSince) else { return nil }
            return steps.ended(plan, cause: cause ?? "the copy ended without an event that explains it")
        }
        switch status {
        case .canceled where cause == nil:
            return .failed(steps.failure(plan, "the copy was cancelled by somebody else", .foreignJob))
        case .canceled, .failed: return steps.ended(plan, cause: cause ?? "the copy failed; QEMU gave no reason")
        case .completed, .ready: return .foundOnOld(steps.failure(plan, "the copy ended without a pivot", .foreignJob))
        }
    }

    private mutating func guestGone(_ plan: SwapPlan) -> SwapInput? {
        guard cause != nil || isOver(since: &goneSince) else { return nil }
        return .foundOnOld(steps.failure(plan, cause ?? "the guest went away during the copy", .guestGone))
    }

    private func isOver(since: inout ContinuousClock.Instant?) -> Bool {
        let began = since ?? clock.now
        since = began
        if clock.now - began >= Self.grace { return true }
        clock.post(.recheck, to: steps.events, after: .milliseconds(500))
        return false
    }

    private func stalled(_ plan: SwapPlan, _ copy: CopyWatch) -> SwapFailure {
        let remaining = copy.leastRemaining.map { "the remaining \($0) bytes" } ?? "the bytes left, which nobody could tell,"
        let limit = plan.options.stallTimeoutS
        return steps.failure(plan, "stalled: \(remaining) did not shrink for stall_timeout_s, \(limit) seconds", .stalled)
    }

    private func report(_ plan: SwapPlan, _ copy: CopyWatch) {
        steps.control.update(copy.progress)
        steps.environment.observer.progressed(steps.record, plan, copy.progress)
    }
}

/// What the last look has shown, until it is taken.
private final class LatestSample: Sendable {
    struct Sample: Sendable {
        var sight: DiskSight
        var job: BlockJobInfo?
    }

    private let sample = Mutex<Sample?>(nil)

    func put(_ new: Sample) { sample.withLock { $0 = new } }

    func take() -> Sample? {
        sample.withLock { sample in
            defer { sample = nil }
            return sample
        }
    }
}
