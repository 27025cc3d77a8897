/// How an unfinished task continues after a restart.
package enum RecoveryDecision: Sendable, Equatable {
    /// Nothing is known: look again.
    case lookAgain
    /// The copy had not begun: undo what little was done, then start over.
    case restart
    /// The copy is running: watch it.
    case adopt
    /// The copy was being ended to begin it again: go on with that.
    case beginAgain
    /// A pivot has been requested, or is about to be: there is no way back.
    case pivot
    /// The VM runs on the new volume: finish the swap.
    case finish
    /// Undo everything and fail.
    case rollBack(SwapFailure)
    /// QEMU runs the new volume but libvirt's live configuration names the old one: mirror back.
    case mirrorBack(SwapFailure)
}

/// Decides how an unfinished task continues, from the journaled phase and plan and the disk's state. Pure.
///
/// | disk | phase | decision |
/// |---|---|---|
/// | unknown | any | look again |
/// | on the new volume, whatever job is on it | any | finish |
/// | a copy onto the new volume is being pivoted | any | pivot: wait for it |
/// | a copy onto the new volume runs | rolling back | roll back |
/// | a copy onto the new volume runs | pivoting | pivot: ask again |
/// | a copy onto the new volume runs, or is being cancelled, or none | copying, ended because it did not converge | begin again |
/// | a copy onto the new volume runs | any other | adopt |
/// | a copy onto the new volume is being cancelled | any | roll back |
/// | on the old volume, but QEMU has pivoted | preparing, undefining, starting | roll back: that was an earlier pivot |
/// | on the old volume, but QEMU has pivoted | any other | mirror back, then roll back |
/// | on the old volume, copy to an unknown place | rolling back | roll back |
/// | on the old volume, copy to an unknown place | any other | restart |
/// | on the old volume, no job | preparing, undefining, starting | restart |
/// | on the old volume, no job | rolling back | roll back with the first cause |
/// | on the old volume, no job | any other | roll back: the copy ended unseen |
/// | on the old volume, in a later life of the guest | pivoting, finishing, storing | roll back: keep both volumes |
/// | on the old volume, in a later life of the guest | any other | as on the old volume, no job |
/// | on the old volume, no job, but a `<mirror>` | any | roll back |
/// | on the old volume, another job | preparing, undefining, starting | restart |
/// | on neither, because it was detached or moved again | finishing, storing | finish |
/// | on neither, or another job | any other | roll back |
/// | stopped after the disk was mirrored back, or while it was | any | roll back |
/// | stopped, the stored configuration names the new volume | pivoting and later, or rolling back a pivot | finish |
/// | stopped, the stored configuration names the new volume | any other | roll back: nobody is known to have pivoted |
/// | stopped, missing | finishing, storing | finish |
/// | stopped, missing | any other | roll back: the guest went away |
package enum Recovery {
    /// The decision for a task in this phase, with this plan, whose disk is in this state.
    package static func decide(phase: SwapPhase, plan: SwapPlan, _ sight: DiskSight) -> RecoveryDecision {
        if sight == .restartedOnOld, !phase.isFromPivotOn { return decide(phase: phase, plan: plan, .onOld) }
        if phase == .copying, plan.convergence == .ending, sight.isOfEndingCopy { return .beginAgain }
        return judge(phase, plan, sight)
    }

    private static func judge(_ phase: SwapPhase, _ plan: SwapPlan, _ sight: DiskSight) -> RecoveryDecision {
        switch sight {
        case .unknown: .lookAgain
        case .onNew: .finish
        case .ending(pivot: true): .pivot
        case .ending(pivot: false): rollBack(plan, "the copy was being cancelled when pivotd restarted", .foreignJob)
        case .copying:
            switch phase {
            case .rollingBack: rollBack(plan, "the swap was being rolled back", .internal)
            case .pivoting: .pivot
            default: .adopt
            }
        case .pivotedUnnoticed where [.accepted, .preparing, .undefining, .starting].contains(phase):
            // Not a pivot of this task's copy.
            .rollBack(plan.failure ?? plan.failure(DiskInspector.adviceOnUnnoticedPivot, .hypervisorRefused).keepingBoth)
        case .pivotedUnnoticed:
            .mirrorBack(
                plan.failure ?? plan.failure("the pivot was cut off while pivotd was down", .hypervisorRefused))
        case .unnamedCopy where phase != .rollingBack: .restart
        case .unnamedCopy: rollBack(plan, "the swap was being rolled back", .internal)
        case .onOld, .onOldUnverified:
            switch phase {
            case .accepted, .preparing, .undefining, .starting: .restart
            default: copyEnded(plan, isInDoubt: sight == .onOldUnverified && phase == .pivoting)
            }
        case .restartedOnOld:
            .rollBack(
                (plan.failure ?? plan.failure("the guest went away while pivotd was down", .guestGone)).afterRestart)
        case .forgottenMirror: copyEnded(plan, isInDoubt: false)
        case .foreignJob where phase == .preparing || phase == .undefining || phase == .starting: .restart
        case .foreignJob: rollBack(plan, "another block job was on the disk after pivotd restarted", .foreignJob)
        case .elsewhere where phase.isAfterPivot: .finish
        case .elsewhere, .strayCopy:
            rollBack(plan, "the disk was on neither volume after pivotd restarted", .hypervisorRefused)
        case .stopped(let stored): afterStop(phase, plan, stored)
        case .missing: afterStop(phase, plan, nil)
        }
    }

    private static func copyEnded(_ plan: SwapPlan, isInDoubt: Bool) -> RecoveryDecision {
        let ended = plan.failure("the copy ended while pivotd was down", .hypervisorRefused)
        return .rollBack(plan.failure ?? (isInDoubt ? ended.inDoubt : ended))
    }

    private static func afterStop(_ phase: SwapPhase, _ plan: SwapPlan, _ stored: DiskSight.Place?) -> RecoveryDecision {
        if let isBack = plan.isMirroredBack {
            let reason = "the guest went away \(isBack ? "after" : "while") its disk was mirrored back to the old volume"
            return rollBack(plan, isBack ? reason : "\(reason); \(SwapFailure.keepBoth)", .guestGone)
        }
        if phase.isAfterPivot { return .finish }
        if stored == .new {
            let mayHavePivoted = phase == .pivoting || plan.mayHavePivoted == true
            return mayHavePivoted ? .finish : .rollBack(plan.failure ?? plan.namedWithoutPivot)
        }
        if phase == .pivoting {
            let reason = "the guest went away during the pivot, while pivotd was down; \(SwapFailure.keepBoth)"
            return rollBack(plan, reason, .guestGone)
        }
        return rollBack(plan, "the guest went away during the copy, while pivotd was down", .guestGone)
    }

    private static func rollBack(_ plan: SwapPlan, _ reason: String, _ code: ReasonCode) -> RecoveryDecision {
        .rollBack(plan.failure ?? plan.failure(reason, code))
    }
}

extension DiskSight {
    /// Whether a copy that was being ended may look like this: still there, being cancelled, or gone.
    fileprivate var isOfEndingCopy: Bool {
        switch self {
        case .copying, .ending(pivot: false), .unnamedCopy, .onOld, .onOldUnverified: true
        default: false
        }
    }
}
