import Logging

/// Ends the copy on a disk, look by look: asks for the cancel, waits for its end, and gets QEMU to drop one that hangs.
struct CopyEnder {
    /// How long a cancel may take before QEMU is told to drop what is under way: libvirt's cancel of a copy that is in step first gets it
    /// in step again, which a busy guest and slow storage put off for ever.
    private static let patience = Duration.seconds(2)

    let steps: SwapSteps
    let plan: SwapPlan
    /// Whether a copy onto another volume is to be ended too.
    let endsForeign: Bool
    private var askedAt: ContinuousClock.Instant?
    private var forcedAt: ContinuousClock.Instant?
    /// How far the copy was at the last look.
    private var cursor: Int64?
    /// Why the last cancel was refused.
    private var failure: String?
    /// Whether libvirt has said that the cancel is under way.
    private var isEnding = false

    init(steps: SwapSteps, plan: SwapPlan, endsForeign: Bool) {
        self.steps = steps
        self.plan = plan
        self.endsForeign = endsForeign
    }

    /// One look, and what it calls for.
    ///
    /// - Returns: what the disk shows once no copy that is to be ended is left; nil as long as one is, or nothing is known.
    mutating func step() async -> DiskSight? {
        let sight = await steps.look(plan)
        switch sight {
        case .copying, .unnamedCopy, .strayCopy:
            if let failure { steps.note("the copy could not be cancelled: \(failure)") }
            await cancel(sight)
        case .foreignJob(isCopy: true) where endsForeign:
            // Of somebody else's copy a look does not tell whether it is being ended.
            if isEnding { await force() } else { await cancel(sight) }
        case .ending(pivot: false): await force()
        case .ending(pivot: true): steps.note("a pivot is under way, and what comes of it is not known yet")
        case .unknown(let why): steps.note(why)
        case .onNew, .onOld, .onOldUnverified, .forgottenMirror, .foreignJob, .pivotedUnnoticed, .elsewhere, .stopped, .missing:
            steps.note(nil)
            return sight
        }
        return nil
    }

    /// A cancel of a copy whose destination hangs can stop QEMU's main loop, and the guest with it, for as long as it hangs. So QEMU drops
    /// such a copy where it can (its own, over a socket that it can break); else the cancel waits until the new volume takes something.
    private mutating func cancel(_ sight: DiskSight) async {
        if askedAt == nil { askedAt = steps.clock.now }
        if !endsForeign, forcedAt == nil, plan.destination.location.canBeYanked { await drop() }
        guard await canBeCancelled(sight) else {
            return steps.note(
                "the new volume takes nothing: the copy is cancelled once it does, for now that would stop the guest")
        }
        do {
            try await steps.hypervisor.blockJobAbort(plan.domain, disk: plan.disk, pivot: false)
            failure = nil
        } catch {
            // It may be gone already; the next look shows whether it is.
            steps.logger.debug("cancel of the copy: \(error)")
            failure = error.description
            isEnding = error.code == .stillEnding
        }
    }

    private mutating func canBeCancelled(_ sight: DiskSight) async -> Bool {
        if sight == .unnamedCopy { return true }
        let job = try? await steps.hypervisor.blockJobInfo(plan.domain, disk: plan.disk)
        guard let job = job ?? nil else { return false }
        defer { cursor = job.cursor }
        // A limited copy pauses for seconds between two bufferfuls; without its limit it shows at once whether anything is taken.
        if cursor == nil, job.remaining > 0, job.bandwidth > 0 {
            try? await steps.hypervisor.blockJobSetSpeed(plan.domain, disk: plan.disk, bytesPerSecond: 0)
        }
        return job.remaining == 0 || cursor.map { $0 != job.cursor } ?? false
    }

    private mutating func force() async {
        let now = steps.clock.now
        let since = forcedAt ?? askedAt ?? now
        if askedAt == nil { askedAt = now }
        guard now - since >= Self.patience else { return }
        steps.note("the cancel of the copy has not ended after \(Int((now - (askedAt ?? now)) / .seconds(1))) s")
        await drop()
    }

    private mutating func drop() async {
        forcedAt = steps.clock.now
        do {
            try await steps.hypervisor.forceAbort(plan.domain, disk: plan.disk)
        } catch {
            steps.logger.warning("the copy could not be ended by force: \(error)")
        }
    }
}
