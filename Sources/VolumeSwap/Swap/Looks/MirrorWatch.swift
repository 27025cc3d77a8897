import Basics
import Budgets

/// Evaluates a copy's events and samples until it is in sync or has ended. Pure; the caller supplies the time.
struct MirrorWatch {
    /// The result of one inspection.
    struct Sample: Sendable {
        var sight: DiskSight
        var job: BlockJobInfo?
        /// The guest's counters, if its latency has a budget.
        var latency: LatencyGovernor.Sample?
    }

    /// How the copy stands.
    enum Verdict {
        /// The copy goes on. With a pause, inspect again after it: the mirror was in sync, but writes may hang, or much is left.
        case copies(nextLook: Duration?)
        /// In sync, the new volume takes writes, and little is left: ready to pivot.
        case inStep
        /// Nothing is known, for this reason.
        case unclear(String)
        /// The job is gone, and the event that explains it may still arrive.
        case gone(nextLook: Duration)
        /// The copy is over, with this result.
        case ended(SwapInput)

        /// When to inspect again, if sooner than usual.
        var nextLook: Duration? {
            switch self {
            case .copies(let nextLook): nextLook
            case .gone(let nextLook): nextLook
            case .inStep, .unclear, .ended: nil
            }
        }
    }

    /// Why a mirror that has been in sync must not be pivoted now.
    private enum Lag {
        /// The new volume takes no writes. If they hang there, a pivot stops the whole guest, and a libvirtd restart kills it.
        case takesNothing
        /// Too much is left. QEMU pivots only once nothing is left for a moment, which a guest that writes faster than the new volume
        /// takes can put off for ever; until then libvirt neither pivots nor cancels.
        case behind
    }

    /// With fewer bytes left the mirror may already be in sync, which READY reports only once; and one that is may pivot.
    private static let fewBytes: Int64 = 64 << 20
    /// How long to wait for the events that explain a job's end: libvirt reports a killed QEMU up to two seconds late.
    private static let grace = Duration.seconds(3)

    /// The guest's mean request time in milliseconds.
    var guestLatency: Double?
    private let plan: SwapPlan
    private let isAdopted: Bool
    /// How long the remaining bytes may not fall before something is done about it.
    private let window: Duration
    private var copy: CopyWatch
    /// When a copy that the guest outruns was last let run faster.
    private var hurriedAt: ContinuousClock.Instant?
    /// When READY arrived, or an inspection found the mirror in sync.
    private(set) var readyAt: ContinuousClock.Instant?
    /// The job at the last inspection since READY.
    private var jobInStep: BlockJobInfo?
    /// Why it was not to be pivoted then; nil if it was.
    private var lag: Lag?
    private var backoffInStep = Backoff(first: .milliseconds(100), longest: .seconds(2))
    /// The end of a job as its event reported it, and the number of inspections begun by then.
    private var reportedEnd: (status: BlockJobStatus, looks: Int)?
    private var looks = 0
    /// Why the job ended, in QEMU's words.
    private var cause: String?
    /// Whether the guest went away meanwhile. It may have been started again since.
    private var hasStopped = false
    /// When the job was first found gone; its events may still arrive.
    private var goneSince: ContinuousClock.Instant?

    init(_ plan: SwapPlan, isAdopted: Bool, window: Duration = .seconds(30), now: ContinuousClock.Instant) {
        self.plan = plan
        self.isAdopted = isAdopted
        // It comes before the stall time-out, whose clock it restarts.
        let stall = plan.options.stallTimeoutS
        self.window = stall > 0 ? min(window, .seconds(stall / 2)) : window
        copy = CopyWatch(stallTimeoutS: plan.options.stallTimeoutS, window: self.window, now: now)
    }

    var progress: SwapProgress {
        var progress = copy.progress
        progress.isSynchronous = plan.isSynchronous
        progress.guestLatency = guestLatency
        return progress
    }

    /// Whether so much is left that the disk itself need not be inspected.
    static func isFarFromReady(_ job: BlockJobInfo) -> Bool { job.isCopy && job.remaining > fewBytes }

    /// - Returns: whether a full inspection is needed. Before a pivot libvirt must have shown the copy's destination: it reports
    ///   READY even for a copy whose destination it has forgotten.
    mutating func beginLook() -> Bool {
        looks += 1
        return isAdopted || readyAt != nil
    }

    /// - Returns: true if the event calls for an inspection.
    mutating func take(_ event: HypervisorEvent) -> Bool {
        switch event {
        case .blockJob(plan.disk, .ready, let at):
            readyAt = readyAt ?? at
            return true
        case .blockJob(plan.disk, let status, _):
            reportedEnd = (status, looks)
            return true
        case .jobError(plan.disk, let message):
            cause = Self.cause(message, after: cause)
            return false
        case .stopped(let reason):
            cause = "the guest went away during the copy: \(reason)"
            hasStopped = true
            return true
        case .blockJob, .jobError, .recheck:
            return false
        }
    }

    /// Why a job has failed: QEMU first reports the failed operation, then the final error.
    static func cause(_ message: String, after earlier: String?) -> String {
        earlier.map { $0 == message ? message : "\(message) (\($0))" } ?? message
    }

    mutating func judge(_ sample: Sample, now: ContinuousClock.Instant) -> Verdict {
        switch sample.sight {
        case .copying(let isReady): return copying(sample.job, isReady: isReady, now)
        case .onNew where !hasStopped: return .ended(.foundOnNew)
        case .onNew, .stopped(stored: .new): return afterStopOnNew(now)
        case .pivotedUnnoticed:
            return .ended(.pivotedUnnoticed(plan.failure(cause ?? "libvirt has lost track of the copy")))
        case .onOld, .onOldUnverified, .restartedOnOld, .forgottenMirror: return gone(now)
        case .stopped, .missing: return guestGone(now)
        case .foreignJob:
            return .ended(.foundOnOld(plan.failure("another job has taken the place of the copy", .foreignJob)))
        case .unnamedCopy: return .ended(.failed(plan.failure("libvirt has forgotten the copy's destination")))
        case .elsewhere, .strayCopy:
            return .ended(.failed(plan.failure("the disk has left the old volume but is not on the new one")))
        case .ending(let pivot):
            return .unclear("someone else's \(pivot ? "pivot" : "cancel") of the copy is under way")
        case .unknown(let why): return .unclear(why)
        }
    }

    private mutating func copying(_ job: BlockJobInfo?, isReady: Bool, _ now: ContinuousClock.Instant) -> Verdict {
        // That event belonged to an earlier job.
        if let reportedEnd, reportedEnd.looks < looks { self.reportedEnd = nil }
        goneSince = nil
        if let job { copy.sample(job, now: now) }
        guard isReady else { return .copies(nextLook: nil) }
        readyAt = readyAt ?? now
        guard let job else { return .copies(nextLook: nil) }
        let before = lag
        lag = lagNow(of: job)
        guard lag != nil else {
            copy.finish(atLeast: plan.oldBytes)
            // It may wait for others, and less than nothing cannot be left.
            copy.pause(now: now)
            return .inStep
        }
        // Nothing was left at READY: by that measure it would never get on again.
        if before == nil { copy.restart(now: now) }
        return .copies(nextLook: backoffInStep.pause())
    }

    /// The turn of a held swap has come: it shows anew that the new volume takes writes, since the last look may be long ago, and what
    /// keeps it from its pivot counts from now on.
    mutating func beginTurn(now: ContinuousClock.Instant) {
        jobInStep = nil
        copy.restart(now: now)
    }

    private mutating func lagNow(of job: BlockJobInfo) -> Lag? {
        defer { jobInStep = job }
        guard job.remaining > 0 else { return nil }
        guard let before = jobInStep, before.cursor != job.cursor else { return .takesNothing }
        if job.remaining <= Self.fewBytes { return nil }
        // A fast volume copies more than that in a second.
        let isSoonCopied = job.remaining <= before.remaining && Double(job.remaining) <= copy.progress.rate ?? 0
        return isSoonCopied ? nil : .behind
    }

    private mutating func gone(_ now: ContinuousClock.Instant) -> Verdict {
        guard let status = reportedEnd?.status else {
            guard isOver(now) else { return .gone(nextLook: .milliseconds(500)) }
            return .ended(.copyEnded(plan, cause: cause ?? "the copy ended without an event that explains it"))
        }
        switch status {
        case .canceled where cause == nil:
            return .ended(.failed(plan.failure("the copy was cancelled by someone else", .foreignJob)))
        case .canceled, .failed:
            return .ended(.copyEnded(plan, cause: cause ?? "the copy failed; QEMU gave no reason"))
        case .completed, .ready:
            return .ended(.foundOnOld(plan.failure("the copy ended without a pivot", .foreignJob)))
        }
    }

    private mutating func guestGone(_ now: ContinuousClock.Instant) -> Verdict {
        guard cause != nil || isOver(now) else { return .gone(nextLook: .milliseconds(500)) }
        return .ended(.foundOnOld(plan.failure(cause ?? "the guest went away during the copy", .guestGone)))
    }

    /// The guest went away, and its configuration names the new volume: by somebody else's pivot, of which there was an event, or because
    /// somebody has edited it. Then the new volume is half copied.
    private mutating func afterStopOnNew(_ now: ContinuousClock.Instant) -> Verdict {
        if reportedEnd?.status == .completed { return .ended(.foundOnNew) }
        guard isOver(now) else { return .gone(nextLook: .milliseconds(500)) }
        return .ended(.failed(plan.namedWithoutPivot))
    }

    private mutating func isOver(_ now: ContinuousClock.Instant) -> Bool {
        let since = goneSince ?? now
        goneSince = since
        return now - since >= Self.grace
    }

    /// Without a connection nothing is known of the copy, which goes on: that is no standstill.
    mutating func noConnection(now: ContinuousClock.Instant) { copy.pause(now: now) }

    /// Whether the copy does not converge, and something can be done about it. Call it right after a sample.
    func mustConverge(now: ContinuousClock.Instant) -> Bool {
        plan.mayConverge && (readyAt == nil || lag == .behind) && copy.isOutrun(for: window, now: now)
    }

    /// Whether a copy that is held back must be let run faster: once in each half of the window in which the guest outruns it.
    mutating func mustHurry(now: ContinuousClock.Instant) -> Bool {
        let pause = window / 2
        guard copy.isOutrun(for: pause, now: now), hurriedAt.map({ now - $0 >= pause }) ?? true else { return false }
        hurriedAt = now
        return true
    }

    /// Whether letting a copy that is held back run faster has not helped for half of the stall time-out: something else must be done
    /// before it stalls.
    func hasHurriedInVain(now: ContinuousClock.Instant) -> Bool {
        let stall = plan.options.stallTimeoutS
        return stall > 0 && now - copy.lastShrink >= .seconds(stall / 2)
    }

    /// What keeps the copy from getting on, for an operator; nil if nothing does.
    ///
    /// - Parameter isHeld: whether the stall time-out does not count.
    func standstill(now: ContinuousClock.Instant, isHeld: Bool = false) -> String? {
        guard readyAt == nil || lag != nil, let time = copy.standstill(now: now) else { return nil }
        let limit = plan.options.stallTimeoutS
        let end = limit > 0 && !isHeld ? "; the swap fails after stall_timeout_s, \(Quantity.number(limit)) seconds" : ""
        if lag == .takesNothing { return "the new volume takes no writes (for \(time)): check its storage\(end)" }
        return copy.isMoving
            ? "the guest writes as fast as the copy runs: for \(time) what remains has not become less\(end)"
            : "the copy has not advanced for \(time): check the storage of the new volume and of the old one\(end)"
    }

    /// The failure if the copy has stalled, else nil.
    func stall(now: ContinuousClock.Instant) -> SwapFailure? {
        guard copy.isStalled(now: now) else { return nil }
        let remaining = copy.leastRemaining.map { "the remaining \($0) bytes" } ?? "the unknown number of bytes left"
        let limit = Quantity.number(plan.options.stallTimeoutS)
        return plan.failure("stalled: \(remaining) did not shrink for stall_timeout_s, \(limit) seconds", .stalled)
    }
}
