/// What libvirt shows of an unfinished task's disk after a restart.
package struct SwapObservation: Sendable, Hashable {
    package enum Domain: Sendable, Hashable, CaseIterable { case active, stopped, missing }
    package enum Place: Sendable, Hashable, CaseIterable { case old, new, other }
    package enum Job: Sendable, Hashable, CaseIterable {
        case none
        /// None, and QEMU runs another volume than the live configuration names: libvirt has lost track of a pivot.
        case lost
        /// A copy whose destination libvirt does not know: it died while it started the copy.
        case unnamed
        /// A copy onto the new volume.
        case ours
        /// A copy onto something else, or a job that is no copy.
        case other
    }

    package var domain: Domain
    /// Where the running disk is; nil unless the domain is active.
    package var live: Place?
    /// Where the stored configuration says it is; nil for a domain without one.
    package var stored: Place?
    package var job: Job

    package init(domain: Domain, live: Place?, stored: Place?, job: Job) {
        self.domain = domain
        self.live = live
        self.stored = stored
        self.job = job
    }
}

/// What to do with an unfinished task.
package enum RecoveryDecision: Sendable {
    /// The copy had not begun: undo what little there is, then begin again.
    case restart(undoing: SwapPlan?)
    case enter(SwapEntry)
}

/// Decides, from the journal's phase and plan and from what libvirt shows, how an unfinished task goes on. Pure.
///
/// | domain | live disk, job | phase | decision |
/// |---|---|---|---|
/// | any | any | no plan yet | restart |
/// | active | on the new volume, whatever job is on it now | any | finish |
/// | active | copy onto the new volume | rolling back | roll back |
/// | active | copy onto the new volume | any other | adopt |
/// | active | on the old volume, but QEMU has pivoted | any | bring back, then roll back |
/// | active | on the old volume, copy to nowhere | rolling back | roll back |
/// | active | on the old volume, copy to nowhere | any other | restart |
/// | active | on the old volume, no job | undefining, starting | restart |
/// | active | on the old volume, no job | rolling back | roll back, first cause |
/// | active | on the old volume, no job | any other | roll back: the copy ended unseen |
/// | active | on neither, or another job | any | roll back |
/// | stopped, missing | stored configuration names the new volume | any | finish |
/// | stopped, missing | – | finishing, storing | finish |
/// | stopped, missing | – | any other | roll back: the guest went away |
package enum Recovery {
    package static func decide(phase: SwapPhase, plan: SwapPlan?, _ seen: SwapObservation) -> RecoveryDecision {
        guard let plan else { return .restart(undoing: nil) }
        guard seen.domain == .active else { return .enter(afterStop(phase, plan, seen)) }
        switch (seen.live, seen.job) {
        case (.new, _):
            return .enter(.finish(plan))
        case (_, .ours):
            return .enter(phase == .rollingBack ? rollBack(plan, "the swap was being rolled back") : .adopt(plan))
        case (.old, .lost):
            let reason = "the pivot was cut off while pivotd was not running"
            return .enter(.bringBack(plan, plan.failure ?? failure(plan, reason)))
        case (.old, .unnamed) where phase != .rollingBack:
            return .restart(undoing: plan)
        case (.old, .none) where phase == .undefining || phase == .starting:
            return .restart(undoing: plan)
        case (.old, .none):
            return .enter(rollBack(plan, "the copy ended while pivotd was not running"))
        case (.old, .other):
            return .enter(rollBack(plan, "another block job is on the disk after the restart of pivotd"))
        default:
            return .enter(rollBack(plan, "after the restart of pivotd the disk was on neither volume"))
        }
    }

    private static func afterStop(_ phase: SwapPhase, _ plan: SwapPlan, _ seen: SwapObservation) -> SwapEntry {
        if seen.stored == .new || phase == .finishing || phase == .storing { return .finish(plan) }
        if phase == .pivoting {
            return rollBack(plan, "the guest went away during the pivot, while pivotd was not running; \(SwapFailure.keepBoth)")
        }
        return rollBack(plan, "the guest went away during the copy, while pivotd was not running")
    }

    private static func rollBack(_ plan: SwapPlan, _ reason: String) -> SwapEntry {
        .rollBack(plan, plan.failure ?? failure(plan, reason))
    }

    private static func failure(_ plan: SwapPlan, _ reason: String) -> SwapFailure {
        .rebaseFailed("disk \(plan.disk), \(plan.oldLocation) to \(plan.destination.location): \(reason)")
    }
}
