import Testing

@testable import VolumeSwap

/// One row of the recovery table.
struct RecoveryRow: Sendable, CustomTestStringConvertible {
    var phase: SwapPhase
    var seen: SwapObservation

    var testDescription: String {
        "\(phase) domain=\(seen.domain) live=\(seen.live.map { "\($0)" } ?? "-") "
            + "stored=\(seen.stored.map { "\($0)" } ?? "-") job=\(seen.job)"
    }

    static let phases = SwapPhase.allCases.filter { !$0.isFinal }
    static let places: [SwapObservation.Place?] = [nil] + SwapObservation.Place.allCases.map { $0 }

    /// Every combination that can be seen.
    static let all: [RecoveryRow] = phases.flatMap { phase in
        SwapObservation.Domain.allCases.flatMap { domain in
            (domain == .active ? SwapObservation.Place.allCases.map { $0 } : [nil]).flatMap { live in
                (domain == .missing ? [nil] : places).flatMap { stored in
                    (domain == .active ? SwapObservation.Job.allCases : [.none]).map { job in
                        RecoveryRow(phase: phase, seen: SwapObservation(domain: domain, live: live, stored: stored, job: job))
                    }
                }
            }
        }
    }

    var decision: String {
        switch Recovery.decide(phase: phase, plan: Fixture.plan(strategy: .rebase), seen) {
        case .restart(let undoing): undoing == nil ? "restart" : "restart undoing"
        case .enter(.fresh): "fresh"
        case .enter(.adopt): "adopt"
        case .enter(.finish): "finish"
        case .enter(.rollBack): "rollBack"
        case .enter(.bringBack): "bringBack"
        }
    }
}

@Suite("Recovery's decision")
struct RecoveryTests {
    @Test("Never finishes while the VM runs on the old volume", arguments: RecoveryRow.all)
    func finishOnlyOnNew(row: RecoveryRow) {
        guard row.decision == "finish" else { return }
        #expect(row.seen.live == .new || row.seen.domain != .active)
    }

    @Test("Adopts nothing but our own copy, and not one that is being rolled back", arguments: RecoveryRow.all)
    func adoptOnlyOurs(row: RecoveryRow) {
        guard row.decision == "adopt" else { return }
        #expect(row.seen.job == .ours)
        #expect(row.phase != .rollingBack)
    }

    @Test("Begins again only where the copy had not begun, undoing what was done", arguments: RecoveryRow.all)
    func restartOnlyBeforeCopy(row: RecoveryRow) {
        #expect(row.decision != "fresh" && row.decision != "restart")
        guard row.decision == "restart undoing" else { return }
        #expect(row.seen.job == .unnamed || row.phase == .undefining || row.phase == .starting)
        #expect(row.seen.live == .old && (row.seen.job == .none || row.seen.job == .unnamed))
    }

    @Test("A VM on the new volume without a job is finished, whatever the phase", arguments: RecoveryRow.all)
    func newIsFinished(row: RecoveryRow) {
        guard row.seen.live == .new, row.seen.job == .none else { return }
        #expect(row.decision == "finish")
    }

    @Test("A stopped domain whose stored configuration names the new volume is finished", arguments: RecoveryRow.all)
    func storedNewIsFinished(row: RecoveryRow) {
        guard row.seen.domain == .stopped, row.seen.stored == .new else { return }
        #expect(row.decision == "finish")
    }

    @Test("After the pivot a guest that went away is still stored on the new volume", arguments: [SwapPhase.finishing, .storing])
    func goneAfterPivot(phase: SwapPhase) {
        for row in RecoveryRow.all where row.phase == phase && row.seen.domain != .active {
            #expect(row.decision == "finish")
        }
    }

    @Test(
        "No decision leaves a domain without its definition: all but adopt define it, and adopt ends in store or roll-back",
        arguments: RecoveryRow.all)
    func everyDecisionDefines(row: RecoveryRow) {
        let entry: SwapEntry
        switch Recovery.decide(phase: row.phase, plan: Fixture.plan(strategy: .rebase), row.seen) {
        case .restart(let undoing):
            #expect(undoing?.savedXML != nil)
            return
        case .enter(let decided): entry = decided
        }
        let begun = SwapMachine.begin(entry)
        #expect(["store", "grow", "rollBack", "await", "bringBack"].contains(begun.action.label))
        #expect(begun.action.plan?.savedXML != nil)
    }

    @Test("Without a plan nothing was touched: begin again", arguments: RecoveryRow.phases)
    func withoutPlan(phase: SwapPhase) {
        let seen = SwapObservation(domain: .active, live: .old, stored: .old, job: .none)
        guard case .restart(undoing: nil) = Recovery.decide(phase: phase, plan: nil, seen) else {
            Issue.record("\(phase) did not begin again")
            return
        }
    }

    @Test("A roll-back goes on with its first cause")
    func firstCause() {
        var plan = Fixture.plan()
        plan.failure = .abortedByRequest
        let seen = SwapObservation(domain: .active, live: .old, stored: .old, job: .ours)
        guard case .enter(.rollBack(_, let failure)) = Recovery.decide(phase: .rollingBack, plan: plan, seen) else {
            Issue.record("no roll-back")
            return
        }
        #expect(failure == .abortedByRequest)
    }

    @Test("A roll-back's reason names the disk and both volumes", arguments: RecoveryRow.all)
    func reasonNames(row: RecoveryRow) {
        guard case .enter(.rollBack(_, let failure)) = Recovery.decide(phase: row.phase, plan: Fixture.plan(), row.seen) else {
            return
        }
        #expect(failure.kind == .volumeRebaseFailed)
        for part in ["vdb", Fixture.oldPath, Fixture.newPath] { #expect(failure.reason.contains(part)) }
    }

    @Test("The table of the documentation", arguments: RecoveryRow.all)
    func table(row: RecoveryRow) {
        let expected: String
        switch (row.seen.domain, row.seen.live, row.seen.job) {
        case (.active, .new, _): expected = "finish"
        case (.active, _, .ours): expected = row.phase == .rollingBack ? "rollBack" : "adopt"
        case (.active, .old, .lost): expected = "bringBack"
        case (.active, .old, .unnamed): expected = row.phase == .rollingBack ? "rollBack" : "restart undoing"
        case (.active, .old, .none):
            expected = row.phase == .undefining || row.phase == .starting ? "restart undoing" : "rollBack"
        case (.active, _, _): expected = "rollBack"
        default: expected = row.seen.stored == .new || row.phase == .finishing || row.phase == .storing ? "finish" : "rollBack"
        }
        #expect(row.decision == expected)
    }
}
