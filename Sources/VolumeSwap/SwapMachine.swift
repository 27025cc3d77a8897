/// What the machine is told.
package enum SwapInput: Sendable {
    // Of the preflight
    case prepared(SwapPlan)
    /// The domain runs on the new volume already.
    case alreadyMoved(SwapPlan)
    /// A copy onto the new volume is running already.
    case adopted(SwapPlan)
    /// The step in hand is done.
    case done
    /// The step in hand failed.
    case failed(SwapFailure)
    // Of a running copy
    case mirrorReady
    /// The job died because the volumes differ in size: QEMU copies only between equal ones.
    case sizesDiffer(SwapFailure)
    // Of a pivot
    /// libvirt's error 83: not yet.
    case notReady
    /// What the live configuration shows after a pivot whose answer was an error, or a job that went away.
    case foundOnNew
    case foundOnOld(SwapFailure)
    /// QEMU runs the new volume and libvirt's live configuration names the old one.
    case lostTrack(SwapFailure)

    var isTrouble: Bool {
        switch self {
        case .failed, .foundOnOld, .lostTrack, .sizesDiffer, .notReady: true
        case .prepared, .alreadyMoved, .adopted, .done, .mirrorReady, .foundOnNew: false
        }
    }
}

/// What is to be done next. Each is one step of IO; its result is the next input.
package enum SwapAction: Sendable {
    case prepare
    case undefine(SwapPlan)
    case start(SwapPlan)
    case awaitMirror(SwapPlan)
    /// Ask for the pivot, after a pause when it was refused as too early.
    case pivot(SwapPlan, after: Duration)
    /// Make QEMU agree with a libvirt that has lost track of a pivot.
    case bringBack(SwapPlan, SwapFailure)
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
        case .undefine(let plan), .start(let plan), .awaitMirror(let plan): plan
        case .grow(let plan), .store(let plan), .complete(let plan): plan
        case .pivot(let plan, _), .bringBack(let plan, _): plan
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
        case .bringBack, .grow, .store, .rollBack, .complete, .fail: false
        }
    }

    /// True when the domain itself will show whether the step was reached, or when it is taken again in any case.
    var isSeenAfterwards: Bool {
        switch self {
        case .prepare, .awaitMirror, .grow, .store: true
        case .undefine, .start, .pivot, .bringBack, .rollBack, .complete, .fail: false
        }
    }

    /// True for what need not be begun when pivotd stops: from the pivot on a swap is better finished.
    var canBeLeft: Bool {
        switch self {
        case .prepare, .undefine, .start, .awaitMirror, .bringBack, .rollBack: true
        case .pivot, .grow, .store, .complete, .fail: false
        }
    }
}

/// Where a run begins: at the beginning, or where recovery found the task.
package enum SwapEntry: Sendable {
    case fresh
    /// The copy is still running.
    case adopt(SwapPlan)
    /// The VM runs on the new volume.
    case finish(SwapPlan)
    case rollBack(SwapPlan, SwapFailure)
    /// QEMU runs the new volume and libvirt's live configuration names the old one.
    case bringBack(SwapPlan, SwapFailure)
}

/// One swap, as a pure state machine: told what happened, it says which phase to journal and what to do next.
///
/// A branch that forgot its next state would not compile: `self` is consumed and must be set again.
package enum SwapMachine: ~Copyable {
    case preparing
    case undefining(SwapPlan)
    case starting(SwapPlan)
    case copying(SwapPlan)
    case pivoting(SwapPlan, tries: Int)
    /// With why the swap has failed.
    case bringingBack(SwapPlan, SwapFailure)
    case finishing(SwapPlan)
    /// With a failure when a step after the pivot failed: the configuration is stored all the same.
    case storing(SwapPlan, SwapFailure?)
    case rollingBack(SwapFailure)
    case ended

    /// The phase to journal before the action that was returned is carried out.
    package var phase: SwapPhase? {
        switch self {
        case .preparing: .preparing
        case .undefining: .undefining
        case .starting: .starting
        case .copying: .copying
        case .pivoting: .pivoting
        case .bringingBack: .pivoting
        case .finishing: .finishing
        case .storing: .storing
        case .rollingBack: .rollingBack
        case .ended: nil
        }
    }

    /// - Parameters:
    ///   - input: the result of the last action.
    ///   - pivotTries: after so many refusals of the pivot as too early the swap is rolled back.
    package mutating func handle(_ input: SwapInput, pivotTries: Int) -> SwapAction {
        let step = Self.step(from: consume self, input, pivotTries)
        self = step.next
        return step.action
    }

    /// The state and the first step of a run that begins there.
    static func begin(_ entry: SwapEntry) -> Step {
        switch entry {
        case .fresh: Step(.preparing, .prepare)
        case .adopt(let plan): Step(.copying(plan), .awaitMirror(plan))
        case .finish(let plan): grow(plan)
        case .rollBack(let plan, let failure): rollBack(plan, failure)
        case .bringBack(let plan, let failure): bringBack(plan, failure)
        }
    }

    struct Step: ~Copyable {
        let next: SwapMachine
        let action: SwapAction

        init(_ next: consuming SwapMachine, _ action: SwapAction) {
            self.next = next
            self.action = action
        }
    }

    private static func step(from state: consuming SwapMachine, _ input: SwapInput, _ pivotTries: Int) -> Step {
        switch consume state {
        case .preparing:
            return afterPreflight(input)
        case .undefining(let plan):
            if case .failed(let failure) = input { return rollBack(plan, failure) }
            return Step(.starting(plan), .start(plan))
        case .starting(let plan):
            if case .failed(let failure) = input { return rollBack(plan, failure) }
            return Step(.copying(plan), .awaitMirror(plan))
        case .copying(let plan):
            return afterCopy(input, plan)
        case .pivoting(let plan, let tries):
            return afterPivot(input, plan, tries: tries, limit: pivotTries)
        case .bringingBack(let plan, let failure):
            // What cannot be brought back is stored where it is: the next start is to find the guest's writes.
            if case .failed(let stranded) = input { return Step(.storing(plan, stranded), .store(plan)) }
            let reason = "\(failure.reason); libvirt lost track of the pivot, so the disk was mirrored back to the old volume"
            return rollBack(plan, SwapFailure(failure.kind, reason, failure.code))
        case .finishing(let plan):
            if case .failed(let failure) = input { return Step(.storing(plan, failure), .store(plan)) }
            return Step(.storing(plan, nil), .store(plan))
        case .storing(let plan, let earlier):
            switch (earlier, input) {
            case (let earlier?, .failed(let later)):
                return Step(.ended, .fail(earlier.adding(later.reason)))
            case (let failure?, _), (nil, .failed(let failure)):
                return Step(.ended, .fail(failure))
            default:
                return Step(.ended, .complete(plan))
            }
        case .rollingBack(let failure):
            guard case .failed(let remainder) = input else { return Step(.ended, .fail(failure)) }
            return Step(.ended, .fail(failure.adding(remainder.reason)))
        case .ended:
            return Step(.ended, .fail(.rebaseFailed("the swap has ended already")))
        }
    }

    private static func afterPreflight(_ input: SwapInput) -> Step {
        switch input {
        case .prepared(let plan) where plan.strategy == .rebase && plan.wasPersistent: Step(.undefining(plan), .undefine(plan))
        case .prepared(let plan): Step(.starting(plan), .start(plan))
        case .adopted(let plan): Step(.copying(plan), .awaitMirror(plan))
        case .alreadyMoved(let plan): grow(plan)
        case .failed(let failure): rollBack(nil, failure)
        default: rollBack(nil, .rebaseFailed("the preflight ended without a plan"))
        }
    }

    private static func afterCopy(_ input: SwapInput, _ plan: SwapPlan) -> Step {
        switch input {
        case .mirrorReady:
            return Step(.pivoting(plan, tries: 0), .pivot(plan, after: .zero))
        case .sizesDiffer(let failure):
            // The size of a network volume is known only to QEMU: the second attempt shows it the old size's worth of a larger one.
            guard plan.strategy == .copy, !plan.usesSlice, plan.newBytes == nil else { return rollBack(plan, failure) }
            var second = plan
            second.usesSlice = true
            second.attempts += 1
            return Step(.starting(second), .start(second))
        case .foundOnNew:
            return grow(plan)
        case .lostTrack(let failure):
            return bringBack(plan, failure)
        case .failed(let failure), .foundOnOld(let failure):
            return rollBack(plan, failure)
        default:
            return rollBack(plan, .rebaseFailed("disk \(plan.disk): the copy ended without an event that explains it"))
        }
    }

    private static func afterPivot(_ input: SwapInput, _ plan: SwapPlan, tries: Int, limit: Int) -> Step {
        switch input {
        case .done, .foundOnNew:
            return grow(plan)
        case .notReady where tries < limit:
            return Step(.pivoting(plan, tries: tries + 1), .pivot(plan, after: .milliseconds(min(10 << min(tries, 6), 500))))
        case .notReady:
            let reason = "disk \(plan.disk): libvirt called the copy not ready for the pivot \(tries + 1) times"
            return rollBack(plan, .rebaseFailed(reason))
        case .lostTrack(let failure):
            return bringBack(plan, failure)
        case .failed(let failure), .foundOnOld(let failure):
            return rollBack(plan, failure)
        default:
            return rollBack(plan, .rebaseFailed("disk \(plan.disk): the pivot ended without an answer"))
        }
    }

    private static func grow(_ plan: SwapPlan) -> Step {
        plan.resizeToBytes == nil ? Step(.storing(plan, nil), .store(plan)) : Step(.finishing(plan), .grow(plan))
    }

    private static func bringBack(_ plan: SwapPlan, _ failure: SwapFailure) -> Step {
        Step(.bringingBack(plan, failure), .bringBack(plan, failure))
    }

    private static func rollBack(_ plan: SwapPlan?, _ failure: SwapFailure) -> Step {
        var plan = plan
        plan?.failure = failure
        return Step(.rollingBack(failure), .rollBack(plan, failure))
    }
}
