import Testing

@testable import VolumeSwap

@Suite("The state machine with a copy that does not converge")
struct SwapMachineConvergenceTests {
    static func plan(_ convergence: Convergence? = .auto, strategy: SwapStrategy = .copy) -> SwapPlan {
        var plan = Fixture.plan(strategy: strategy, persistent: false)
        plan.options.convergence = convergence
        return plan
    }

    @Test("The running copy is changed first, and watched again; that happens once")
    func changed() {
        var machine = SwapMachine.copying(Self.plan())
        #expect(machine.handle(.notConverging, pivotTries: 3).label == "converge")
        let watched = machine.handle(.done, pivotTries: 3)
        #expect(watched.label == "await")
        #expect(watched.plan?.convergence == .changed)
        #expect(watched.plan?.attempts == 1)
        #expect(watched.plan?.warnings.count == 1)
        #expect(watched.plan?.mayConverge == false)
    }

    @Test(
        "A copy that cannot be changed is ended, then begun again with synchronous writes",
        arguments: [SwapStrategy.copy, .rebase])
    func begunAgain(strategy: SwapStrategy) {
        var machine = SwapMachine.copying(Self.plan(strategy: strategy))
        _ = machine.handle(.notConverging, pivotTries: 3)
        let end = machine.handle(.mustBeginAgain, pivotTries: 3)
        #expect(end.label == "endCopy")
        #expect(end.plan?.convergence == .ending)
        #expect(end.plan?.strategy == strategy)
        let start = machine.handle(.done, pivotTries: 3)
        #expect(start.label == "start")
        #expect(start.plan?.convergence == .begunAgain)
        #expect(start.plan?.strategy == .copy)
        #expect(start.plan?.options.synchronousWrites == true)
        #expect(start.plan?.attempts == 2)
        #expect(start.plan?.mayConverge == false)
        #expect(start.isSeenAfterwards == false)
    }

    @Test("Where nothing can be done the copy goes on, with a warning, and is not asked about again")
    func impossible() {
        var machine = SwapMachine.copying(Self.plan())
        _ = machine.handle(.notConverging, pivotTries: 3)
        let watched = machine.handle(.cannotConverge("no way"), pivotTries: 3)
        #expect(watched.label == "await")
        #expect(watched.plan?.convergence == .impossible)
        #expect(watched.plan?.warnings.first?.hasSuffix("no way") == true)
        #expect(watched.plan?.mayConverge == false)
    }

    @Test("Nothing is done about it with off or always, or a second time")
    func notAsked() {
        var again = Self.plan()
        again.convergence = .begunAgain
        var always = Self.plan(.always)
        always.options.synchronousWrites = true
        for plan in [Self.plan(nil), Self.plan(.off), always, again] { #expect(!plan.mayConverge) }
    }

    @Test("A restart between the end and the second start begins again, and no restart begins a third time")
    func restarts() throws {
        var ending = Self.plan()
        ending.convergence = .ending
        for sight in [DiskSight.copying(isReady: false), .ending(pivot: false), .onOld] {
            var machine = SwapMachine.resuming(.copying, ending)
            #expect(machine.handle(.observed(sight), pivotTries: 3).label == "endCopy")
            #expect(machine.handle(.done, pivotTries: 3).plan?.attempts == 2)
        }
        var second = Self.plan()
        second.convergence = .begunAgain
        second.attempts = 2
        second.warnings = ["convergence: begun again", "another"]
        var machine = SwapMachine.resuming(.starting, second)
        #expect(machine.handle(.observed(.copying(isReady: false)), pivotTries: 3).label == "await")
        // With no copy there the preflight is repeated, and its plan takes this over.
        let third = Self.plan().keepingConvergence(of: second)
        #expect(third.options.synchronousWrites)
        #expect(third.attempts == 2)
        #expect(third.warnings == ["convergence: begun again"])
        #expect(third.convergence == .begunAgain)
        #expect(Self.plan().keepingConvergence(of: Self.plan()) == Self.plan())
    }
}
