@testable import VolumeSwap

/// Short names for actions and inputs, so that a table of the machine can be read.
extension SwapAction {
    var label: String {
        switch self {
        case .prepare: "prepare"
        case .undefine: "undefine"
        case .start: "start"
        case .awaitMirror: "await"
        case .pivot: "pivot"
        case .grow: "grow"
        case .store: "store"
        case .rollBack: "rollBack"
        case .bringBack: "bringBack"
        case .complete: "complete"
        case .fail: "fail"
        }
    }

    var plan: SwapPlan? {
        switch self {
        case .undefine(let plan), .start(let plan), .awaitMirror(let plan), .pivot(let plan, _), .grow(let plan),
            .store(let plan),
            .complete(let plan):
            plan
        case .rollBack(let plan, _): plan
        case .bringBack(let plan, _): plan
        case .prepare, .fail: nil
        }
    }

    var failure: SwapFailure? {
        switch self {
        case .rollBack(_, let failure), .bringBack(_, let failure), .fail(let failure): failure
        default: nil
        }
    }
}

enum InputName: String, CaseIterable, Sendable {
    case prepared, alreadyMoved, adopted, done, failed, mirrorReady, sizesDiffer, notReady, foundOnNew, foundOnOld, lostTrack

    func input(_ plan: SwapPlan) -> SwapInput {
        let cause = SwapFailure.rebaseFailed("cause")
        return switch self {
        case .prepared: .prepared(plan)
        case .alreadyMoved: .alreadyMoved(plan)
        case .adopted: .adopted(plan)
        case .done: .done
        case .failed: .failed(cause)
        case .mirrorReady: .mirrorReady
        case .sizesDiffer: .sizesDiffer(cause)
        case .notReady: .notReady
        case .foundOnNew: .foundOnNew
        case .foundOnOld: .foundOnOld(cause)
        case .lostTrack: .lostTrack(cause)
        }
    }
}

/// The states by name; a state cannot be copied, so each test makes its own.
enum StateName: String, CaseIterable, Sendable {
    case preparing, undefining, starting, copying, pivoting, bringingBack, finishing, storing, storingAfterFailure, rollingBack,
        ended

    func make(_ plan: SwapPlan) -> SwapMachine {
        switch self {
        case .preparing: .preparing
        case .undefining: .undefining(plan)
        case .starting: .starting(plan)
        case .copying: .copying(plan)
        case .pivoting: .pivoting(plan, tries: 0)
        case .bringingBack: .bringingBack(plan, .rebaseFailed("cut off"))
        case .finishing: .finishing(plan)
        case .storing: .storing(plan, nil)
        case .storingAfterFailure: .storing(plan, .rebaseFailed("earlier"))
        case .rollingBack: .rollingBack(.rebaseFailed("first"))
        case .ended: .ended
        }
    }

    /// The action for each input of `InputName.allCases`, in its order, for a transient domain that is not grown.
    var expected: [String] {
        switch self {
        // prepared, alreadyMoved, adopted, done, failed, mirrorReady, sizesDiffer, notReady, foundOnNew, foundOnOld, lostTrack
        case .preparing:
            [
                "start", "store", "await", "rollBack", "rollBack", "rollBack", "rollBack", "rollBack", "rollBack", "rollBack",
                "rollBack",
            ]
        case .undefining: InputName.allCases.map { $0 == .failed ? "rollBack" : "start" }
        case .starting:
            // An input that the step never gives still ends in a watched copy, or in the second attempt's decision.
            InputName.allCases.map { $0 == .failed ? "rollBack" : "await" }
        case .copying:
            [
                "rollBack", "rollBack", "rollBack", "rollBack", "rollBack", "pivot", "rollBack", "rollBack", "store", "rollBack",
                "bringBack",
            ]
        case .pivoting:
            [
                "rollBack", "rollBack", "rollBack", "store", "rollBack", "rollBack", "rollBack", "pivot", "store", "rollBack",
                "bringBack",
            ]
        case .bringingBack: InputName.allCases.map { $0 == .failed ? "store" : "rollBack" }
        case .finishing: InputName.allCases.map { _ in "store" }
        case .storing: InputName.allCases.map { $0 == .failed ? "fail" : "complete" }
        case .storingAfterFailure, .rollingBack, .ended: InputName.allCases.map { _ in "fail" }
        }
    }
}
