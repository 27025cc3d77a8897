import Testing

@testable import VolumeSwap

@Suite("State machine of one swap")
struct SwapMachineTests {
    @Test("Every state answers every input", arguments: StateName.allCases, InputName.allCases)
    func table(state: StateName, input: InputName) throws {
        let plan = Fixture.plan(persistent: false)
        var machine = state.make(plan)
        let action = machine.handle(input.input(plan), pivotTries: 20)
        let index = try #require(InputName.allCases.firstIndex(of: input))
        #expect(action.label == state.expected[index])
    }

    @Test("The journaled phase names the step that comes next", arguments: StateName.allCases, InputName.allCases)
    func phaseFollowsAction(state: StateName, input: InputName) {
        let plan = Fixture.plan(persistent: false, resizeTo: 1 << 30)
        var machine = state.make(plan)
        let action = machine.handle(input.input(plan), pivotTries: 20)
        let phases: [String: SwapPhase] = [
            "undefine": .undefining, "start": .starting, "await": .copying, "pivot": .pivoting, "grow": .finishing,
            "store": .storing, "rollBack": .rollingBack, "bringBack": .pivoting,
        ]
        #expect(machine.phase == phases[action.label])
    }

    @Test(
        "After the pivot nothing is rolled back", arguments: [StateName.finishing, .storing, .storingAfterFailure],
        InputName.allCases)
    func noRollBackAfterPivot(state: StateName, input: InputName) {
        let plan = Fixture.plan(resizeTo: 1 << 30)
        var machine = state.make(plan)
        #expect(machine.handle(input.input(plan), pivotTries: 20).label != "rollBack")
    }

    @Test("Any sequence of inputs ends, in success only after the store", arguments: 0..<200)
    func randomWalk(seed: UInt64) {
        var generator = SplitMix64(seed: seed)
        let plan = Fixture.plan(
            strategy: Bool.random(using: &generator) ? .rebase : .copy, resizeTo: Bool.random(using: &generator) ? 1 << 30 : nil,
            newBytes: nil)
        var machine = SwapMachine.preparing
        var last = "prepare"
        for _ in 0..<200 {
            let input = InputName.allCases.randomElement(using: &generator) ?? .done
            let action = machine.handle(input.input(plan), pivotTries: 5)
            if action.label == "complete" { #expect(last == "store") }
            if action.label == "complete" || action.label == "fail" { break }
            last = action.label
        }
        #expect(machine.phase == nil)
    }

    @Test("Only a persistent domain's rebase undefines", arguments: [SwapStrategy.rebase, .copy], [true, false])
    func undefines(strategy: SwapStrategy, persistent: Bool) {
        let plan = Fixture.plan(strategy: strategy, persistent: persistent)
        var machine = SwapMachine.preparing
        let action = machine.handle(.prepared(plan), pivotTries: 1)
        #expect(action.label == (strategy == .rebase && persistent ? "undefine" : "start"))
    }

    @Test("A pivot refused as too early is tried again, with growing pauses, and then given up", arguments: [0, 1, 5, 20])
    func pivotRetries(limit: Int) {
        let plan = Fixture.plan()
        var machine = SwapMachine.pivoting(plan, tries: 0)
        var pauses: [Duration] = []
        while case .pivot(_, let pause) = machine.handle(.notReady, pivotTries: limit) { pauses.append(pause) }
        #expect(pauses.count == limit)
        #expect(pauses == pauses.sorted())
        #expect(pauses.allSatisfy { $0 >= .milliseconds(10) && $0 <= .milliseconds(500) })
        #expect(machine.phase == .rollingBack)
    }

    @Test("The first pivot is asked for at once")
    func firstPivot() {
        var machine = SwapMachine.copying(Fixture.plan())
        guard case .pivot(_, let pause) = machine.handle(.mirrorReady, pivotTries: 3) else {
            Issue.record("no pivot")
            return
        }
        #expect(pause == .zero)
    }

    @Test("A network volume of another size is tried once more through a slice")
    func secondAttempt() {
        var machine = SwapMachine.copying(Fixture.plan(newBytes: nil))
        let second = machine.handle(.sizesDiffer(.rebaseFailed("sizes")), pivotTries: 3)
        #expect(second.label == "start")
        #expect(second.plan?.usesSlice == true)
        #expect(second.plan?.attempts == 2)
        _ = machine.handle(.done, pivotTries: 3)
        let third = machine.handle(.sizesDiffer(.rebaseFailed("sizes")), pivotTries: 3)
        #expect(third.label == "rollBack")
        #expect(third.failure?.reason == "sizes")
    }

    @Test("No second attempt by rebase, nor when the size was known")
    func noSecondAttempt() {
        for plan in [Fixture.plan(strategy: .rebase, newBytes: nil), Fixture.plan()] {
            var machine = SwapMachine.copying(plan)
            #expect(machine.handle(.sizesDiffer(.rebaseFailed("sizes")), pivotTries: 3).label == "rollBack")
        }
    }

    @Test("A resize that failed after the pivot still stores, and fails in the end")
    func failureAfterPivot() {
        var machine = SwapMachine.finishing(Fixture.plan(resizeTo: 1 << 30))
        #expect(machine.handle(.failed(.rebaseFailed("no resize")), pivotTries: 3).label == "store")
        let end = machine.handle(.done, pivotTries: 3)
        #expect(end.label == "fail")
        #expect(end.failure?.reason == "no resize")
    }

    @Test("What the roll-back could not undo is added to the reason; an abort stays one")
    func rollBackRemainder() {
        var machine = SwapMachine.rollingBack(.abortedByRequest)
        let end = machine.handle(.failed(.invalidVolume("a device is left")), pivotTries: 3)
        #expect(end.failure == SwapFailure(.volumeRebaseFailed, "aborted by request; a device is left", .aborted))
    }

    @Test("A roll-back keeps its cause in the plan, for the journal")
    func causeInPlan() {
        var machine = SwapMachine.copying(Fixture.plan())
        let action = machine.handle(.failed(.rebaseFailed("no space")), pivotTries: 3)
        #expect(action.plan?.failure == .rebaseFailed("no space"))
    }

    @Test(
        "A pivot that libvirt lost track of is brought back and fails; what cannot be brought back is stored where it is, and fails"
    )
    func lostTrack() {
        for isBack in [true, false] {
            var machine = SwapMachine.pivoting(Fixture.plan(), tries: 0)
            #expect(machine.handle(.lostTrack(.rebaseFailed("cut off")), pivotTries: 3).label == "bringBack")
            let next = machine.handle(isBack ? .done : .failed(.rebaseFailed("keep both")), pivotTries: 3)
            #expect(next.label == (isBack ? "rollBack" : "store"))
            let end = machine.handle(.done, pivotTries: 3)
            #expect(end.label == "fail")
            #expect(end.failure?.reason.hasPrefix(isBack ? "cut off; libvirt lost track" : "keep both") == true)
        }
    }

    @Test("A run begins where recovery says")
    func entries() {
        let plan = Fixture.plan()
        #expect(SwapMachine.begin(.fresh).action.label == "prepare")
        #expect(SwapMachine.begin(.adopt(plan)).action.label == "await")
        #expect(SwapMachine.begin(.finish(plan)).action.label == "store")
        #expect(SwapMachine.begin(.finish(Fixture.plan(resizeTo: 1 << 30))).action.label == "grow")
        #expect(SwapMachine.begin(.bringBack(plan, .rebaseFailed("cut off"))).action.label == "bringBack")
        #expect(SwapMachine.begin(.rollBack(plan, .rebaseFailed("gone"))).action.failure?.reason == "gone")
    }

    @Test("What has reached its pivot is not left when pivotd stops", arguments: StateName.allCases, InputName.allCases)
    func canBeLeft(state: StateName, input: InputName) {
        let plan = Fixture.plan(resizeTo: 1 << 30)
        var machine = state.make(plan)
        let action = machine.handle(input.input(plan), pivotTries: 3)
        #expect(action.canBeLeft == !["pivot", "grow", "store", "complete", "fail"].contains(action.label))
    }
}
