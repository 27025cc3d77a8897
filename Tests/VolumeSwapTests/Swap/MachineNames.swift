@testable import VolumeSwap

/// Short names for actions and inputs, to keep the machine's tables readable.
extension SwapAction {
    var label: String {
        switch self {
        case .observe: "observe"
        case .undo: "undo"
        case .prepare: "prepare"
        case .undefine: "undefine"
        case .start: "start"
        case .awaitMirror: "await"
        case .converge: "converge"
        case .endCopy: "endCopy"
        case .pivot: "pivot"
        case .grow: "grow"
        case .store: "store"
        case .rollBack: "rollBack"
        case .mirrorBack: "mirrorBack"
        case .complete: "complete"
        case .fail: "fail"
        }
    }

    var failure: SwapFailure? {
        switch self {
        case .rollBack(_, let failure), .mirrorBack(_, let failure), .fail(let failure): failure
        default: nil
        }
    }
}

enum InputName: String, CaseIterable, Sendable {
    case prepared, alreadyMoved, adopted, done, failed, mirrorReady, heldAgain, sizesDiffer, notReady, foundOnNew, foundOnOld,
        pivotedUnnoticed
    case notConverging, mustBeginAgain, cannotConverge
    case resized, notResized, rolledBack, interrupted, observedUnknown

    func input(_ plan: SwapPlan) -> SwapInput {
        let cause = SwapFailure.rebaseFailed("cause")
        return switch self {
        case .prepared: .prepared(plan)
        case .alreadyMoved: .alreadyMoved(plan)
        case .adopted: .adopted(plan)
        case .done: .done
        case .failed: .failed(cause)
        case .mirrorReady: .mirrorReady
        case .heldAgain: .heldAgain
        case .sizesDiffer: .sizesDiffer(cause)
        case .notConverging: .notConverging
        case .mustBeginAgain: .mustBeginAgain
        case .cannotConverge: .cannotConverge("no way")
        case .notReady: .notReady(cause)
        case .foundOnNew: .foundOnNew
        case .foundOnOld: .foundOnOld(cause)
        case .pivotedUnnoticed: .pivotedUnnoticed(cause)
        case .resized: .resized(1 << 30)
        case .notResized: .notResized(1 << 26, "refused")
        case .rolledBack: .rolledBack(.old, leftBehind: [])
        case .interrupted: .interrupted
        case .observedUnknown: .observed(.unknown("no answer"))
        }
    }
}

/// The states by name. A state cannot be copied, so each test creates its own.
enum StateName: String, CaseIterable, Sendable {
    case resuming, undoing, preparing, undefining, starting, copying, converging, endingCopy, pivoting, mirroringBack, finishing,
        storing,
        storingAfterFailure, rollingBack, rollingBackWithoutPlan, ended

    func make(_ plan: SwapPlan) -> SwapMachine {
        switch self {
        case .resuming: .resuming(.copying, plan)
        case .undoing: .undoing(plan)
        case .preparing: .preparing
        case .undefining: .undefining(plan)
        case .starting: .starting(plan)
        case .copying: .copying(plan)
        case .converging: .converging(plan)
        case .endingCopy: .endingCopy(plan)
        case .pivoting: .pivoting(plan, tries: 0)
        case .mirroringBack: .mirroringBack(plan, .rebaseFailed("cut off"))
        case .finishing: .finishing(plan)
        case .storing: .storing(plan, nil)
        case .storingAfterFailure: .storing(plan, .rebaseFailed("earlier"))
        case .rollingBack: .rollingBack(plan, .rebaseFailed("first"))
        case .rollingBackWithoutPlan: .rollingBack(nil, .rebaseFailed("first"))
        case .ended: .ended
        }
    }

    /// The action for an input, for a transient domain that does not grow.
    func expected(_ input: InputName) -> String {
        switch self {
        case .resuming: input == .failed ? "rollBack" : "observe"
        case .undoing: input == .foundOnNew ? "store" : input == .failed ? "rollBack" : "prepare"
        case .preparing:
            switch input {
            case .prepared: "start"
            case .alreadyMoved: "store"
            case .adopted: "await"
            default: "rollBack"
            }
        case .undefining: input == .failed ? "rollBack" : "start"
        case .starting:
            switch input {
            case .done: "await"
            case .foundOnNew: "store"
            case .pivotedUnnoticed: "mirrorBack"
            default: "rollBack"
            }
        case .copying:
            switch input {
            case .mirrorReady: "pivot"
            case .foundOnNew: "store"
            case .pivotedUnnoticed: "mirrorBack"
            default: "rollBack"
            }
        case .converging: input == .failed ? "rollBack" : input == .mustBeginAgain ? "endCopy" : "await"
        case .endingCopy: input == .done ? "start" : input == .foundOnNew ? "store" : "rollBack"
        case .pivoting:
            switch input {
            case .notReady: "pivot"
            case .heldAgain: "await"
            case .foundOnNew: "store"
            case .pivotedUnnoticed: "mirrorBack"
            default: "rollBack"
            }
        case .mirroringBack: input == .failed ? "store" : "rollBack"
        case .finishing: "store"
        case .storing: input == .failed ? "fail" : "complete"
        case .rollingBack:
            switch input {
            case .foundOnNew: "store"
            case .pivotedUnnoticed: "mirrorBack"
            default: "fail"
            }
        case .storingAfterFailure, .rollingBackWithoutPlan, .ended: "fail"
        }
    }
}
