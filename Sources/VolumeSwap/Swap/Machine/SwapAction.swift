/// The next step of a swap. Each is one piece of IO, whose result is the machine's next input.
package enum SwapAction: Sendable {
    /// Inspect the disk of a task from before a restart.
    case observe(SwapPlan)
    /// Undo what an earlier attempt began, to start over.
    case undo(SwapPlan)
    /// Run the preflight.
    case prepare
    /// Remove the stored configuration for a `rebase`.
    case undefine(SwapPlan)
    /// Start the copy.
    case start(SwapPlan)
    /// Wait until the mirror is in sync.
    case awaitMirror(SwapPlan)
    /// Have the guest's writes go to both volumes from now on: the copy does not converge.
    case converge(SwapPlan)
    /// End a copy that does not converge, to begin it again.
    case endCopy(SwapPlan)
    /// Request the pivot, after a pause if it was refused as too early, and find out the result.
    case pivot(SwapPlan, after: Duration)
    /// Bring QEMU back to the volume that a libvirt that lost track of a pivot names.
    case mirrorBack(SwapPlan, SwapFailure)
    /// Let the guest see the larger size.
    case grow(SwapPlan)
    /// Write the stored configuration, and read both configurations back.
    case store(SwapPlan)
    /// Undo everything.
    case rollBack(SwapPlan?, SwapFailure)
    /// The swap has succeeded.
    case complete(SwapPlan)
    /// The swap has failed.
    case fail(SwapFailure)

    /// The plan; nil before the preflight.
    var plan: SwapPlan? {
        switch self {
        case .prepare, .fail: nil
        case .observe(let plan), .undo(let plan): plan
        case .undefine(let plan), .start(let plan), .awaitMirror(let plan): plan
        case .converge(let plan), .endCopy(let plan): plan
        case .grow(let plan), .store(let plan), .complete(let plan): plan
        case .pivot(let plan, _), .mirrorBack(let plan, _): plan
        case .rollBack(let plan, _): plan
        }
    }

    var isEnd: Bool {
        switch self {
        case .complete, .fail: true
        default: false
        }
    }

    /// Whether the step is skipped if it cannot be journaled or the swap is to be aborted.
    var canBeRefused: Bool {
        switch self {
        case .prepare, .undefine, .start, .awaitMirror, .converge, .endCopy, .pivot: true
        case .observe, .undo, .mirrorBack, .grow, .store, .rollBack, .complete, .fail: false
        }
    }

    /// Whether a power loss of the guest's host undoes the step: a copy ends with its QEMU, and until the pivot the stored
    /// configuration names the old volume. The task can then start over, as one that was cut off in its preflight.
    var endsWithTheHost: Bool {
        guard case .start(let plan) = self else { return false }
        return !plan.isUndefined
    }

    /// Whether the guest has moved. If it then ends with its host, only the journal shows that: the domain need not name the new
    /// volume yet.
    var isAfterPivot: Bool {
        switch self {
        case .grow, .store: true
        default: false
        }
    }

    /// Whether the step need not be journaled before it runs: the running domain shows that it was reached, or it is repeated anyway.
    var isSeenAfterwards: Bool {
        switch self {
        case .prepare, .awaitMirror, .converge, .grow, .store: true
        case .observe, .undo, .undefine, .start, .endCopy, .pivot, .mirrorBack, .rollBack, .complete, .fail: false
        }
    }
}
