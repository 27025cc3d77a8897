import Basics

/// Judges what events and looks show of a copy, until it is in step or has ended. Pure; time is given to it.
struct MirrorWatch {
    /// What one look has shown.
    struct Sample: Sendable {
        var sight: DiskSight
        var job: BlockJobInfo?
    }

    enum Verdict {
        /// The copy goes on. With a pause the next look is due after it: the mirror is in step, and whether the new volume takes what is
        /// written is not known yet.
        case copies(nextLook: Duration?)
        case inStep
        /// Nothing is known, for the reason given.
        case unclear(String)
        /// The job is not there, and what explains it may still be on its way.
        case gone(nextLook: Duration)
        case ended(SwapInput)
    }

    /// With fewer bytes left the mirror may be in step, which READY reports only once.
    private static let fewBytes: Int64 = 64 << 20
    /// How long the events that explain the end of a job are waited for: libvirt reports the end of a killed QEMU up to two seconds late.
    private static let grace = Duration.seconds(3)

    private let plan: SwapPlan
    private let isAdopted: Bool
    private var copy: CopyWatch
    /// When READY arrived, or a look showed that the mirror is in step.
    private(set) var readyAt: ContinuousClock.Instant?
    /// The cursor of the last look since READY; nil before it.
    private var cursorInStep: Int64?
    private var backoffInStep = Backoff(first: .milliseconds(100), longest: .seconds(2))
    /// The end of a job as its event reported it, and how many looks had begun by then.
    private var reportedEnd: (status: BlockJobStatus, looks: Int)?
    private var looks = 0
    /// Why the job ended, in QEMU's words.
    private var cause: String?
    /// When the job was first seen to be gone; its events may still be on their way.
    private var goneSince: ContinuousClock.Instant?

    init(_ plan: SwapPlan, isAdopted: Bool, now: ContinuousClock.Instant) {
        self.plan = plan
        self.isAdopted = isAdopted
        copy = CopyWatch(stallTimeoutS: plan.options.stallTimeoutS, now: now)
    }

    var progress: SwapProgress { copy.progress }

    /// Whether a copy has so much left that the disk need not be looked at.
    static func isFarFromReady(_ job: BlockJobInfo) -> Bool { job.isCopy && job.remaining > fewBytes }

    /// - Returns: whether the look has to be a full one. Before a pivot libvirt has to have shown where the copy goes: of one that it has
    ///   forgotten it reports READY all the same.
    mutating func beginLook() -> Bool {
        looks += 1
        return isAdopted || readyAt != nil
    }

    /// - Returns: true when the event calls for a look.
    mutating func take(_ event: HypervisorEvent) -> Bool {
        switch event {
        case .blockJob(plan.disk, .ready, let at):
            readyAt = readyAt ?? at
            return true
        case .blockJob(plan.disk, let status, _):
            reportedEnd = (status, looks)
            return true
        case .jobError(plan.disk, let message):
            // QEMU reports the failed operation first, then the error it ended with.
            cause = cause.map { $0 == message ? message : "\(message) (\($0))" } ?? message
            return false
        case .stopped(let reason):
            cause = "the guest went away during the copy: \(reason)"
            return true
        case .blockJob, .jobError, .recheck:
            return false
        }
    }

    mutating func judge(_ sample: Sample, now: ContinuousClock.Instant) -> Verdict {
        switch sample.sight {
        case .copying(let isReady): return copying(sample.job, isReady: isReady, now)
        case .onNew, .stopped(stored: .new): return .ended(.foundOnNew)
        case .pivotedUnnoticed:
            return .ended(.pivotedUnnoticed(plan.failure(cause ?? "libvirt has lost track of the copy")))
        case .onOld, .onOldUnverified, .forgottenMirror: return gone(now)
        case .stopped, .missing: return guestGone(now)
        case .foreignJob:
            return .ended(.foundOnOld(plan.failure("another job has taken the place of the copy", .foreignJob)))
        case .unnamedCopy: return .ended(.failed(plan.failure("libvirt has forgotten where the copy goes")))
        case .elsewhere, .strayCopy:
            return .ended(.failed(plan.failure("the disk has left the old volume, and is not on the new one")))
        case .ending(let pivot):
            return .unclear("somebody else's \(pivot ? "pivot" : "cancel") of the copy is under way")
        case .unknown(let why): return .unclear(why)
        }
    }

    private mutating func copying(_ job: BlockJobInfo?, isReady: Bool, _ now: ContinuousClock.Instant) -> Verdict {
        // The event of another job, which had ended before ours began.
        if let reportedEnd, reportedEnd.looks < looks { self.reportedEnd = nil }
        goneSince = nil
        if let job { copy.sample(job, now: now) }
        guard isReady else { return .copies(nextLook: nil) }
        readyAt = readyAt ?? now
        guard let job else { return .copies(nextLook: nil) }
        guard isTaking(job) else { return .copies(nextLook: backoffInStep.pause()) }
        copy.finish(atLeast: plan.oldBytes)
        return .inStep
    }

    /// Whether the new volume takes what is written to it: with requests that hang there a pivot stops the whole guest, and a libvirtd
    /// that is restarted meanwhile kills it.
    private mutating func isTaking(_ job: BlockJobInfo) -> Bool {
        defer { cursorInStep = job.cursor }
        return job.remaining == 0 || cursorInStep.map { $0 != job.cursor } ?? false
    }

    private mutating func gone(_ now: ContinuousClock.Instant) -> Verdict {
        guard let status = reportedEnd?.status else {
            guard isOver(now) else { return .gone(nextLook: .milliseconds(500)) }
            return .ended(.copyEnded(plan, cause: cause ?? "the copy ended without an event that explains it"))
        }
        switch status {
        case .canceled where cause == nil:
            return .ended(.failed(plan.failure("the copy was cancelled by somebody else", .foreignJob)))
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

    private mutating func isOver(_ now: ContinuousClock.Instant) -> Bool {
        let since = goneSince ?? now
        goneSince = since
        return now - since >= Self.grace
    }

    /// The failure of a copy that has stalled.
    func stall(now: ContinuousClock.Instant) -> SwapFailure? {
        guard copy.isStalled(now: now) else { return nil }
        let remaining = copy.leastRemaining.map { "the remaining \($0) bytes" } ?? "the bytes left, which nobody could tell,"
        let limit = plan.options.stallTimeoutS
        return plan.failure("stalled: \(remaining) did not shrink for stall_timeout_s, \(limit) seconds", .stalled)
    }
}
