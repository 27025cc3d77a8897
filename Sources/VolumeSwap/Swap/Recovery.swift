/// What to do with an unfinished task after a restart.
package enum RecoveryDecision: Sendable, Equatable {
    /// Nothing is known: look again.
    case lookAgain
    /// The copy had not begun: undo what little there is, then begin again.
    case restart
    /// The copy is running.
    case adopt
    /// A pivot has been asked for, or is about to be: there is no way back from here.
    case pivot
    /// The VM runs on the new volume.
    case finish
    case rollBack(SwapFailure)
    /// QEMU runs the new volume and libvirt's live configuration names the old one.
    case mirrorBack(SwapFailure)
}

/// Decides, from the journal's phase and plan and from what the disk shows, how an unfinished task goes on. Pure.
///
/// | the disk | phase | decision |
/// |---|---|---|
/// | not known | any | look again |
/// | on the new volume, whatever job is on it now | any | finish |
/// | a copy onto the new volume is being pivoted | any | pivot: wait for it |
/// | a copy onto the new volume runs | rolling back | roll back |
/// | a copy onto the new volume runs | pivoting | pivot: ask again |
/// | a copy onto the new volume runs | any other | adopt |
/// | a copy onto the new volume is being cancelled | any | roll back |
/// | on the old volume, but QEMU has pivoted | preparing, undefining, starting | roll back: that was an earlier pivot |
/// | on the old volume, but QEMU has pivoted | any other | mirror back, then roll back |
/// | on the old volume, copy to nowhere | rolling back | roll back |
/// | on the old volume, copy to nowhere | any other | restart |
/// | on the old volume, no job | preparing, undefining, starting | restart |
/// | on the old volume, no job | rolling back | roll back, first cause |
/// | on the old volume, no job | any other | roll back: the copy ended unseen |
/// | on the old volume, no job, but a `<mirror>` | any | roll back |
/// | on the old volume, another job | preparing, undefining, starting | restart |
/// | on neither, or another job | any other | roll back |
/// | stopped after the disk was mirrored back, or while it was | any | roll back |
/// | stopped, the stored configuration names the new volume | any | finish |
/// | stopped, missing | finishing, storing | finish |
/// | stopped, missing | any other | roll back: the guest went away |
package enum Recovery {
    package static func decide(phase: SwapPhase, plan: SwapPlan, _ sight: DiskSight) -> RecoveryDecision {
        switch sight {
        case .unknown: .lookAgain
        case .onNew: .finish
        case .ending(pivot: true): .pivot
        case .ending(pivot: false): rollBack(plan, "the copy was being cancelled after the restart of pivotd", .foreignJob)
        case .copying:
            switch phase {
            case .rollingBack: rollBack(plan, "the swap was being rolled back", .internal)
            case .pivoting: .pivot
            default: .adopt
            }
        case .pivotedUnnoticed where [.accepted, .preparing, .undefining, .starting].contains(phase):
            // The pivot was none of this task's copy.
            .rollBack(plan.failure ?? plan.failure(DiskInspector.adviceOnUnnoticedPivot, .hypervisorRefused).keepingBoth)
        case .pivotedUnnoticed:
            .mirrorBack(
                plan.failure ?? plan.failure("the pivot was cut off while pivotd was not running", .hypervisorRefused))
        case .unnamedCopy where phase != .rollingBack: .restart
        case .unnamedCopy: rollBack(plan, "the swap was being rolled back", .internal)
        case .onOld, .onOldUnverified:
            switch phase {
            case .accepted, .preparing, .undefining, .starting: .restart
            default: copyEnded(plan, isInDoubt: sight == .onOldUnverified && phase == .pivoting)
            }
        case .forgottenMirror: copyEnded(plan, isInDoubt: false)
        case .foreignJob where phase == .preparing || phase == .undefining || phase == .starting: .restart
        case .foreignJob: rollBack(plan, "another block job is on the disk after the restart of pivotd", .foreignJob)
        case .elsewhere, .strayCopy:
            rollBack(plan, "after the restart of pivotd the disk was on neither volume", .hypervisorRefused)
        case .stopped(let stored): afterStop(phase, plan, stored)
        case .missing: afterStop(phase, plan, nil)
        }
    }

    private static func copyEnded(_ plan: SwapPlan, isInDoubt: Bool) -> RecoveryDecision {
        let ended = plan.failure("the copy ended while pivotd was not running", .hypervisorRefused)
        return .rollBack(plan.failure ?? (isInDoubt ? ended.inDoubt : ended))
    }

    private static func afterStop(_ phase: SwapPhase, _ plan: SwapPlan, _ stored: DiskSight.Place?) -> RecoveryDecision {
        if let isBack = plan.isMirroredBack {
            let reason = "the guest went away \(isBack ? "after" : "while") its disk was mirrored back to the old volume"
            return rollBack(plan, isBack ? reason : "\(reason); \(SwapFailure.keepBoth)", .guestGone)
        }
        if stored == .new || phase == .finishing || phase == .storing { return .finish }
        if phase == .pivoting {
            let reason = "the guest went away during the pivot, while pivotd was not running; \(SwapFailure.keepBoth)"
            return rollBack(plan, reason, .guestGone)
        }
        return rollBack(plan, "the guest went away during the copy, while pivotd was not running", .guestGone)
    }

    private static func rollBack(_ plan: SwapPlan, _ reason: String, _ code: ReasonCode) -> RecoveryDecision {
        .rollBack(plan.failure ?? plan.failure(reason, code))
    }
}
