import Testing

@testable import VolumeSwap

/// One row of the recovery table.
struct RecoveryRow: Sendable, CustomTestStringConvertible {
    var phase: SwapPhase
    var sight: DiskSight

    var testDescription: String { "\(phase) \(sight)" }

    static let phases = SwapPhase.allCases.filter { !$0.isFinal }

    /// Every state of a disk.
    static let sights: [DiskSight] = [
        .onNew, .onOld, .forgottenMirror, .copying(isReady: false), .copying(isReady: true), .ending(pivot: true),
        .ending(pivot: false), .unnamedCopy, .foreignJob(isCopy: true), .foreignJob(isCopy: false), .strayCopy, .pivotedUnnoticed,
        .elsewhere,
        .onOldUnverified, .restartedOnOld,
        .stopped(stored: nil), .stopped(stored: .old), .stopped(stored: .new), .stopped(stored: .other), .missing,
        .unknown("no answer"),
    ]

    static let all: [RecoveryRow] = phases.flatMap { phase in sights.map { RecoveryRow(phase: phase, sight: $0) } }

    var decision: String {
        switch Recovery.decide(phase: phase, plan: Fixture.plan(strategy: .rebase), sight) {
        case .lookAgain: "look again"
        case .restart: "restart"
        case .adopt: "adopt"
        case .beginAgain: "begin again"
        case .pivot: "pivot"
        case .finish: "finish"
        case .rollBack: "rollBack"
        case .mirrorBack: "mirrorBack"
        }
    }
}

@Suite("Recovery decisions")
struct RecoveryTests {
    @Test("An unknown disk is inspected again, whatever the phase", arguments: RecoveryRow.phases)
    func unknownIsNoAnswer(phase: SwapPhase) {
        #expect(RecoveryRow(phase: phase, sight: .unknown("error 68")).decision == "look again")
    }

    @Test("A requested pivot is never rolled back while its job is there", arguments: RecoveryRow.all)
    func noWayBackFromThePivot(row: RecoveryRow) {
        switch row.sight {
        case .ending(pivot: true): #expect(row.decision == "pivot")
        case .copying where row.phase == .pivoting: #expect(row.decision == "pivot")
        default: #expect(row.decision != "pivot")
        }
    }

    @Test("A task never finishes while the VM runs on the old volume", arguments: RecoveryRow.all)
    func finishOnlyOnNew(row: RecoveryRow) {
        guard row.decision == "finish" else { return }
        switch row.sight {
        case .onNew, .stopped, .missing: break
        // Detached, or moved on: the store step reports that.
        case .elsewhere: #expect(row.phase == .finishing || row.phase == .storing)
        default: Issue.record("finished")
        }
    }

    @Test("Only our own copy is adopted, before its pivot and not during a roll-back", arguments: RecoveryRow.all)
    func adoptOnlyOurs(row: RecoveryRow) {
        guard row.decision == "adopt" else { return }
        guard case .copying = row.sight else {
            Issue.record("adopted")
            return
        }
        #expect(row.phase != .rollingBack && row.phase != .pivoting)
    }

    @Test("A task starts over only if the copy had not begun", arguments: RecoveryRow.all)
    func restartOnlyBeforeCopy(row: RecoveryRow) {
        guard row.decision == "restart" else { return }
        #expect(row.sight == .unnamedCopy || [.accepted, .preparing, .undefining, .starting].contains(row.phase))
        #expect(![.onNew, .pivotedUnnoticed, .elsewhere, .missing].contains(row.sight))
    }

    @Test(
        "A task whose stopped domain is stored on the new volume is finished only if a pivot was requested: somebody may have edited it",
        arguments: RecoveryRow.phases)
    func storedNew(phase: SwapPhase) {
        let mayHavePivoted = [.pivoting, .finishing, .storing].contains(phase)
        #expect(RecoveryRow(phase: phase, sight: .stopped(stored: .new)).decision == (mayHavePivoted ? "finish" : "rollBack"))
        var plan = Fixture.plan()
        if !mayHavePivoted {
            guard case .rollBack(let failure) = Recovery.decide(phase: phase, plan: plan, .stopped(stored: .new)) else {
                Issue.record("not rolled back")
                return
            }
            #expect(failure.inUse == .unknown)
            #expect(failure.code == .guestGone)
        }
        plan.mayHavePivoted = true
        #expect(Recovery.decide(phase: phase, plan: plan, .stopped(stored: .new)) == .finish)
    }

    @Test("After the pivot a guest that went away is stored on the new volume", arguments: [SwapPhase.finishing, .storing])
    func goneAfterPivot(phase: SwapPhase) {
        for sight in [DiskSight.missing, .stopped(stored: nil), .stopped(stored: .old)] {
            #expect(RecoveryRow(phase: phase, sight: sight).decision == "finish")
        }
    }

    @Test("Every decision leads to a step that restores the definition", arguments: RecoveryRow.all)
    func everyDecisionDefines(row: RecoveryRow) {
        let plan = Fixture.plan(strategy: .rebase)
        var machine = SwapMachine.resuming(row.phase, plan)
        let action = machine.handle(.observed(row.sight), pivotTries: 3)
        #expect(["store", "grow", "rollBack", "await", "mirrorBack", "pivot", "undo", "observe"].contains(action.label))
        #expect(action.plan?.savedXML != nil)
    }

    @Test("A stored configuration does not show where a mirrored-back disk is", arguments: [true, false])
    func mirroredBack(isBack: Bool) {
        var plan = Fixture.plan()
        plan.isMirroredBack = isBack
        for sight in [DiskSight.stopped(stored: .new), .missing] {
            guard case .rollBack(let failure) = Recovery.decide(phase: .pivoting, plan: plan, sight) else {
                Issue.record("\(sight) is not rolled back")
                continue
            }
            #expect(failure.reason.contains("keep both volumes") == !isBack)
        }
    }

    @Test("After a pivot, an unverified old volume is not reported as old")
    func unverified() {
        let decision = Recovery.decide(phase: .pivoting, plan: Fixture.plan(), .onOldUnverified)
        guard case .rollBack(let failure) = decision else {
            Issue.record("\(decision)")
            return
        }
        #expect(failure.inUse == .unknown)
    }

    @Test("After a pivot, the old volume of a guest that was started again is not reported as old", arguments: RecoveryRow.phases)
    func restarted(phase: SwapPhase) {
        guard case .rollBack(let failure) = Recovery.decide(phase: phase, plan: Fixture.plan(), .restartedOnOld) else { return }
        #expect((failure.inUse == .unknown) == phase.isFromPivotOn)
        #expect(failure.reason.contains("keep both volumes") == phase.isFromPivotOn)
    }

    @Test("A roll-back keeps its first cause")
    func firstCause() {
        var plan = Fixture.plan()
        plan.failure = .abortedByRequest
        #expect(Recovery.decide(phase: .rollingBack, plan: plan, .copying(isReady: true)) == .rollBack(.abortedByRequest))
    }

    @Test("A roll-back's reason names the disk and both volumes; after a pivot it waits until the disk was seen")
    func reasonNames() {
        for row in RecoveryRow.all {
            let plan = Fixture.plan()
            guard case .rollBack(let failure) = Recovery.decide(phase: row.phase, plan: plan, row.sight) else { continue }
            #expect(failure.kind == .volumeRebaseFailed)
            for part in ["vdb", Fixture.oldPath, Fixture.newPath] { #expect(failure.reason.contains(part)) }
            var machine = SwapMachine.resuming(row.phase, plan)
            let action = machine.handle(.observed(row.sight), pivotTries: 3)
            #expect(action.plan?.mayHavePivoted == (row.phase == .pivoting ? true : nil))
        }
    }

    @Test("A copy that was being ended to begin it again is begun again, whatever is left of it", arguments: RecoveryRow.all)
    func beginsAgain(row: RecoveryRow) {
        var plan = Fixture.plan()
        plan.convergence = .ending
        let isEnded =
            switch row.sight {
            case .copying, .ending(pivot: false), .unnamedCopy, .onOld, .onOldUnverified, .restartedOnOld: true
            default: false
            }
        let decision = Recovery.decide(phase: row.phase, plan: plan, row.sight)
        #expect((decision == .beginAgain) == (isEnded && row.phase == .copying))
    }

    @Test("The documented table", arguments: RecoveryRow.all)
    func table(row: RecoveryRow) {
        let (phase, isUndoing) = (row.phase, row.phase == .rollingBack)
        let expected =
            switch row.sight {
            case .unknown: "look again"
            case .onNew: "finish"
            case .ending(pivot: true): "pivot"
            case .ending(pivot: false): "rollBack"
            case .copying: isUndoing ? "rollBack" : phase == .pivoting ? "pivot" : "adopt"
            case .pivotedUnnoticed: [.accepted, .preparing, .undefining, .starting].contains(phase) ? "rollBack" : "mirrorBack"
            case .unnamedCopy: isUndoing ? "rollBack" : "restart"
            case .onOld, .onOldUnverified, .restartedOnOld:
                [.accepted, .preparing, .undefining, .starting].contains(phase) ? "restart" : "rollBack"
            case .foreignJob: [.preparing, .undefining, .starting].contains(phase) ? "restart" : "rollBack"
            case .forgottenMirror, .strayCopy: "rollBack"
            case .stopped(stored: .new): [.pivoting, .finishing, .storing].contains(phase) ? "finish" : "rollBack"
            case .stopped, .missing, .elsewhere: phase == .finishing || phase == .storing ? "finish" : "rollBack"
            }
        #expect(row.decision == expected)
    }
}
