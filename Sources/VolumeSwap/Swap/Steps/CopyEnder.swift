import Logging

/// Ends the copy on a disk step by step: requests the cancel, waits for the end, and makes QEMU drop a copy that hangs.
struct CopyEnder {
    /// How long a cancel may take before QEMU is told to drop the copy. libvirt's cancel of a synced copy first waits for it to
    /// be in sync again, which a busy guest on slow storage can delay forever.
    private static let patience = Duration.seconds(2)

    let steps: SwapSteps
    let plan: SwapPlan
    /// Whether to end a copy onto a different volume too.
    let endsForeign: Bool
    private var askedAt: ContinuousClock.Instant?
    private var forcedAt: ContinuousClock.Instant?
    /// The copy's progress at the last inspection.
    private var cursor: Int64?
    /// Why the last cancel was refused.
    private var failure: String?
    /// Whether libvirt has reported that the cancel is under way.
    private var isEnding = false

    init(steps: SwapSteps, plan: SwapPlan, endsForeign: Bool) {
        self.steps = steps
        self.plan = plan
        self.endsForeign = endsForeign
    }

    /// Inspects the disk once and acts on the result.
    ///
    /// - Returns: the disk's state once no copy that should end is left; nil while one is, or while nothing is known.
    mutating func step() async -> DiskSight? {
        let sight = await steps.look(plan)
        switch sight {
        case .copying, .unnamedCopy, .strayCopy:
            if let failure { steps.note("the copy could not be cancelled: \(failure)") }
            await cancel(sight)
        case .foreignJob(isCopy: true, isPivoting: true) where endsForeign:
            steps.note("somebody else's pivot of the disk is under way; its result is not known yet")
        case .foreignJob(isCopy: true, isPivoting: false) where endsForeign:
            // The state of a foreign copy does not show whether it is being cancelled.
            if isEnding { await force() } else { await cancel(sight) }
        case .ending(pivot: false): await force()
        case .ending(pivot: true): steps.note("a pivot is under way; its result is not known yet")
        case .unknown(let why): steps.note(why)
        case .onNew, .onOld, .onOldUnverified, .restartedOnOld, .forgottenMirror, .foreignJob, .pivotedUnnoticed, .elsewhere,
            .stopped, .missing:
            steps.note(nil)
            return sight
        }
        return nil
    }

    /// Requests the cancel, unless the destination hangs: then a cancel can block QEMU's main loop, and so the guest, for as
    /// long. QEMU drops such a copy where it can (over a socket that it can break); else the cancel waits.
    private mutating func cancel(_ sight: DiskSight) async {
        if askedAt == nil { askedAt = steps.clock.now }
        if !endsForeign, forcedAt == nil, plan.destination.location.canBeYanked { await drop() }
        let compared = cursor
        guard await canBeCancelled(sight) else {
            // The first look has nothing to compare with.
            guard compared != nil else { return }
            return steps.note(
                "the new volume takes no writes: cancelling the copy now would stop the guest, so it is cancelled once writes go on"
            )
        }
        do {
            try await steps.hypervisor.blockJobAbort(plan.domain, disk: plan.disk, pivot: false)
            failure = nil
        } catch {
            // It may already be gone; the next inspection shows it.
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
        // A rate-limited copy pauses for seconds between bufferfuls; without the limit it soon shows whether writes go on.
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
