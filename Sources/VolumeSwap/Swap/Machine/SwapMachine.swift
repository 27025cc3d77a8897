/// Where a run starts: at the beginning, or with an inspection of a task from before a restart.
package enum SwapEntry: Sendable {
    /// At the beginning.
    case fresh
    /// At the beginning, after a restart: an earlier run may have attached the new volume, whatever the journaled phase.
    case again
    /// With the journaled phase and plan.
    case resume(SwapPhase, SwapPlan)

    var isFresh: Bool { if case .fresh = self { true } else { false } }

    /// Whether the swap was held before the restart.
    var isHeld: Bool {
        guard case .resume(.ready, let plan) = self else { return false }
        return plan.options.hold
    }

    /// Whether it goes on beside the instance's other swaps: it is held, or was, and its roll-back needs no turn either.
    var isAside: Bool {
        guard case .resume(.rollingBack, let plan) = self else { return isHeld }
        return plan.options.hold && !plan.isUndefined && plan.isMirroredBack == nil && plan.mayHavePivoted != true
    }

    /// The phase to go on from; nil for a task that begins.
    var phase: SwapPhase? { if case .resume(let phase, _) = self { phase } else { nil } }

    /// Whether it had been told to pivot, and was waiting for its instance's turn.
    var isReleased: Bool {
        guard case .resume(.ready, let plan) = self else { return false }
        return plan.isReleased == true
    }
}

/// One swap as a pure state machine: from a step's result it derives the phase to journal and the next step.
///
/// A branch that forgot its next state would not compile: `self` is consumed and must be set again.
///
/// Once a pivot has been requested, only an inspection that shows the old volume and no job leads back: else the guest may still
/// move.
package enum SwapMachine: ~Copyable {
    /// With the journaled phase, which stays until the inspection has shown how to continue.
    case resuming(SwapPhase, SwapPlan)
    case undoing(SwapPlan)
    case preparing
    case undefining(SwapPlan)
    case starting(SwapPlan)
    case copying(SwapPlan)
    /// Still copying, while the copy is made to converge.
    case converging(SwapPlan)
    /// Still copying, while the copy is ended to be begun again.
    case endingCopy(SwapPlan)
    case pivoting(SwapPlan, tries: Int)
    /// With the reason why the swap fails.
    case mirroringBack(SwapPlan, SwapFailure)
    case finishing(SwapPlan)
    /// With a failure if a step after the pivot failed: the configuration is stored all the same.
    case storing(SwapPlan, SwapFailure?)
    case rollingBack(SwapPlan?, SwapFailure)
    case ended

    /// The phase to journal before the returned action is carried out; nil keeps the journaled one.
    package var phase: SwapPhase? {
        switch self {
        case .resuming: nil
        case .undoing: nil
        case .preparing: .preparing
        case .undefining: .undefining
        case .starting: .starting
        case .copying: .copying
        case .converging: .copying
        case .endingCopy: .copying
        case .pivoting: .pivoting
        case .mirroringBack: .pivoting
        case .finishing: .finishing
        case .storing: .storing
        case .rollingBack: .rollingBack
        case .ended: nil
        }
    }

    /// Advances the machine.
    ///
    /// - Parameters:
    ///   - input: the result of the last action.
    ///   - pivotTries: roll back after this many pivots refused as too early.
    /// - Returns: the next action.
    package mutating func handle(_ input: SwapInput, pivotTries: Int) -> SwapAction {
        let step = Self.step(from: consume self, input, pivotTries)
        self = step.next
        return step.action
    }

    /// The initial state and action of a run.
    static func begin(_ entry: SwapEntry) -> Step {
        switch entry {
        case .fresh, .again: Step(.preparing, .prepare)
        case .resume(.rollingBack, let plan) where plan.failure != nil:
            // The roll-back does its own inspection, and its caller waits for nothing more.
            Step(.rollingBack(plan, plan.failure ?? .abortedByRequest), .rollBack(plan, plan.failure ?? .abortedByRequest))
        case .resume(let phase, let plan): Step(.resuming(phase, plan), .observe(plan))
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
        case .resuming(let phase, let plan):
            return resume(phase, plan, input)
        case .undoing(let plan):
            if case .failed(let failure) = input { return rollBack(plan, failure) }
            if case .foundOnNew = input { return grow(plan) }
            return Step(.preparing, .prepare)
        case .preparing:
            return afterPreflight(input)
        case .undefining(let plan):
            if case .failed(let failure) = input { return rollBack(plan, failure) }
            return Step(.starting(plan), .start(plan))
        case .starting(let plan):
            return afterStart(input, plan)
        case .copying(let plan):
            return afterCopy(input, plan)
        case .converging(let plan):
            return afterConverge(input, plan)
        case .endingCopy(let plan):
            return afterEndCopy(input, plan)
        case .pivoting(let plan, let tries):
            return afterPivot(input, plan, tries: tries, limit: pivotTries)
        case .mirroringBack(let plan, let failure):
            return afterReturn(input, plan, failure)
        case .finishing(let plan):
            return afterResize(input, plan)
        case .storing(let plan, let earlier):
            return afterStore(input, plan, earlier)
        case .rollingBack(let plan, let failure):
            return afterRollBack(input, plan, failure)
        case .ended:
            return Step(.ended, .fail(.rebaseFailed("the swap has already ended", .internal)))
        }
    }

    private static func resume(_ phase: SwapPhase, _ plan: SwapPlan, _ input: SwapInput) -> Step {
        if case .failed(let failure) = input { return rollBack(plan, failure) }
        guard case .observed(let sight) = input else { return Step(.resuming(phase, plan), .observe(plan)) }
        switch Recovery.decide(phase: phase, plan: plan, sight) {
        case .lookAgain: return Step(.resuming(phase, plan), .observe(plan))
        case .restart: return Step(.undoing(plan), .undo(plan))
        case .adopt: return Step(.copying(plan), .awaitMirror(plan))
        case .beginAgain: return Step(.endingCopy(plan), .endCopy(plan))
        // It was requested before the restart.
        case .pivot: return Step(.pivoting(plan, tries: 1), .pivot(plan, after: .zero))
        case .finish: return grow(plan)
        case .rollBack(let failure): return rollBack(plan, failure, mayHavePivoted: phase == .pivoting)
        case .mirrorBack(let failure): return mirrorBack(plan, failure)
        }
    }

    private static func afterPreflight(_ input: SwapInput) -> Step {
        switch input {
        case .prepared(let plan) where plan.strategy == .rebase && plan.wasPersistent: Step(.undefining(plan), .undefine(plan))
        case .prepared(let plan): Step(.starting(plan), .start(plan))
        case .adopted(let plan): Step(.copying(plan), .awaitMirror(plan))
        case .alreadyMoved(let plan): grow(plan)
        case .failed(let failure): rollBack(nil, failure)
        default: rollBack(nil, .rebaseFailed("the preflight ended without a plan", .internal))
        }
    }

    private static func afterStart(_ input: SwapInput, _ plan: SwapPlan) -> Step {
        switch input {
        case .done: Step(.copying(plan), .awaitMirror(plan))
        case .foundOnNew: grow(plan)
        case .sizesDiffer: afterCopy(input, plan)
        case .pivotedUnnoticed(let failure): mirrorBack(plan, failure)
        case .failed(let failure), .foundOnOld(let failure): rollBack(plan, failure)
        default: rollBack(plan, .rebaseFailed("disk \(plan.disk): the copy started without an answer", .internal))
        }
    }

    private static func afterCopy(_ input: SwapInput, _ plan: SwapPlan) -> Step {
        switch input {
        case .mirrorReady:
            return Step(.pivoting(plan, tries: 0), .pivot(plan, after: .zero))
        case .sizesDiffer(let failure):
            // Only QEMU knows a network volume's size: the second attempt shows it a window of the old size.
            guard plan.strategy == .copy, !plan.usesSlice, plan.newBytes == nil else { return rollBack(plan, failure) }
            // A window shows an image's own bytes, not its guest's; and without the size of a LUKS header it would end too early.
            guard plan.destination.format == "raw", !plan.isSealed else {
                let need =
                    plan.isSealed
                    ? "an encrypted volume whose LUKS header only QEMU can read must leave the guest exactly \(plan.oldBytes) bytes"
                    : "a \(plan.destination.format) image must have the old volume's size"
                var refusal = failure.adding(need)
                refusal.code = .notSupported
                return rollBack(plan, refusal)
            }
            var second = plan
            second.usesSlice = true
            second.attempts += 1
            return Step(.starting(second), .start(second))
        case .notConverging where plan.mayConverge:
            return Step(.converging(plan), .converge(plan))
        case .foundOnNew:
            return grow(plan)
        case .pivotedUnnoticed(let failure):
            return mirrorBack(plan, failure)
        case .failed(let failure), .foundOnOld(let failure):
            return rollBack(plan, failure)
        default:
            return rollBack(
                plan, .rebaseFailed("disk \(plan.disk): the copy ended without an event that explains it", .internal))
        }
    }

    private static func afterPivot(_ input: SwapInput, _ plan: SwapPlan, tries: Int, limit: Int) -> Step {
        switch input {
        case .foundOnNew:
            return grow(plan)
        case .notReady where tries < limit:
            return Step(.pivoting(plan, tries: tries + 1), .pivot(plan, after: .milliseconds(min(10 << min(tries, 6), 500))))
        case .heldAgain:
            return Step(.copying(plan), .awaitMirror(plan))
        case .notReady(let refusal):
            return rollBack(plan, refusal.adding("the pivot was refused \(tries + 1) times"), mayHavePivoted: true)
        case .pivotedUnnoticed(let failure):
            return mirrorBack(plan, failure)
        case .failed(let failure):
            // On the first try it was refused before it was requested.
            return rollBack(plan, failure, mayHavePivoted: tries > 0)
        case .foundOnOld(let failure):
            return rollBack(plan, failure, mayHavePivoted: true)
        default:
            let failure = SwapFailure.rebaseFailed("disk \(plan.disk): the pivot ended without an answer", .internal)
            return rollBack(plan, failure, mayHavePivoted: true)
        }
    }

    private static func afterReturn(_ input: SwapInput, _ plan: SwapPlan, _ failure: SwapFailure) -> Step {
        if case .failed(var stranded) = input {
            // A disk that cannot be brought back is stored where it is, so that the next start finds the guest's writes.
            stranded.inUse = .new
            return Step(.storing(plan, stranded), .store(plan))
        }
        var plan = plan
        plan.isMirroredBack = true
        let why = failure.adding("libvirt lost track of the pivot, so the disk was mirrored back to the old volume")
        return rollBack(plan, why, mayHavePivoted: true)
    }

    static func grow(_ plan: SwapPlan) -> Step {
        // It may already have been tried before a restart.
        guard plan.resizeToBytes != nil, plan.resized == nil else { return Step(.storing(plan, nil), .store(plan)) }
        return Step(.finishing(plan), .grow(plan))
    }

    /// The data has moved, so a failed resize is a warning, not a failure.
    private static func afterResize(_ input: SwapInput, _ plan: SwapPlan) -> Step {
        var plan = plan
        switch input {
        case .resized(let bytes):
            plan.resized = true
            plan.capacityBytes = bytes
        case .notResized(let bytes, let why):
            plan.resized = false
            plan.capacityBytes = bytes
            plan.warnings.append("resize: \(why)")
        default:
            plan.resized = false
            plan.warnings.append("resize: the step ended without an answer")
        }
        return Step(.storing(plan, nil), .store(plan))
    }

    private static func afterStore(_ input: SwapInput, _ plan: SwapPlan, _ earlier: SwapFailure?) -> Step {
        switch (earlier, input) {
        case (let earlier?, .failed(let later)): return Step(.ended, .fail(earlier.adding(later.reason)))
        case (let failure?, _): return Step(.ended, .fail(failure))
        case (nil, .failed(var failure)):
            failure.inUse = failure.inUse ?? .new
            return Step(.ended, .fail(failure))
        default: return Step(.ended, .complete(plan))
        }
    }

    private static func afterRollBack(_ input: SwapInput, _ plan: SwapPlan?, _ failure: SwapFailure) -> Step {
        var failure = failure
        switch input {
        case .foundOnNew:
            // A pivot requested earlier, by anyone, happened after all.
            guard let plan else { return Step(.ended, .fail(failure)) }
            return grow(plan)
        case .pivotedUnnoticed:
            guard let plan else { return Step(.ended, .fail(failure)) }
            return mirrorBack(plan, failure)
        case .rolledBack(let inUse, let leftBehind):
            if plan != nil, failure.inUse != .unknown || inUse != .old { failure.inUse = inUse }
            failure.leftBehind += leftBehind
            for remainder in leftBehind { failure = failure.adding(remainder) }
        case .failed(let remainder):
            failure.leftBehind.append(remainder.reason)
            failure = failure.adding(remainder.reason)
        default: break
        }
        return Step(.ended, .fail(failure))
    }

    private static func mirrorBack(_ plan: SwapPlan, _ failure: SwapFailure) -> Step {
        var plan = plan
        plan.isMirroredBack = false
        return Step(.mirroringBack(plan, failure), .mirrorBack(plan, failure))
    }

    static func rollBack(_ plan: SwapPlan?, _ failure: SwapFailure, mayHavePivoted: Bool = false) -> Step {
        guard var plan else { return Step(.rollingBack(nil, failure), .rollBack(nil, failure)) }
        plan.failure = failure
        if mayHavePivoted { plan.mayHavePivoted = true }
        return Step(.rollingBack(plan, failure), .rollBack(plan, failure))
    }
}
