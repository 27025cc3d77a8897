/// What is to be done next. Each is one step of IO; its result is the next input.
package enum SwapAction: Sendable {
    /// Look where a task stands that was under way before a restart.
    case observe(SwapPlan)
    /// Undo what an earlier try has begun, to begin again.
    case undo(SwapPlan)
    case prepare
    case undefine(SwapPlan)
    case start(SwapPlan)
    case awaitMirror(SwapPlan)
    /// Ask for the pivot, after a pause when it was refused as too early, and find out what came of it.
    case pivot(SwapPlan, after: Duration)
    /// Make QEMU agree with a libvirt that has lost track of a pivot.
    case mirrorBack(SwapPlan, SwapFailure)
    /// Let the guest see the larger size.
    case grow(SwapPlan)
    /// Write the configuration back, read both back.
    case store(SwapPlan)
    /// Leave nothing behind.
    case rollBack(SwapPlan?, SwapFailure)
    case complete(SwapPlan)
    case fail(SwapFailure)

    /// What is known of the swap; nil before the preflight.
    var plan: SwapPlan? {
        switch self {
        case .prepare, .fail: nil
        case .observe(let plan), .undo(let plan): plan
        case .undefine(let plan), .start(let plan), .awaitMirror(let plan): plan
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

    /// True for a step that is not taken when it cannot be journaled, or when the swap is to be aborted.
    var canBeRefused: Bool {
        switch self {
        case .prepare, .undefine, .start, .awaitMirror, .pivot: true
        case .observe, .undo, .mirrorBack, .grow, .store, .rollBack, .complete, .fail: false
        }
    }

    /// True when the domain itself will show whether the step was reached, or when it is taken again in any case.
    var isSeenAfterwards: Bool {
        switch self {
        case .prepare, .awaitMirror, .grow, .store: true
        case .observe, .undo, .undefine, .start, .pivot, .mirrorBack, .rollBack, .complete, .fail: false
        }
    }
}
