import SeededRandom
import Testing

@testable import VolumeSwap

@Suite("The state machine of a swap")
struct SwapMachineTests {
    @Test("Every state handles every input", arguments: StateName.allCases, InputName.allCases)
    func table(state: StateName, input: InputName) {
        let plan = Fixture.plan(persistent: false)
        var machine = state.make(plan)
        let action = machine.handle(input.input(plan), pivotTries: 20)
        #expect(action.label == state.expected(input))
    }

    @Test("The journaled phase names the next step", arguments: StateName.allCases, InputName.allCases)
    func phaseFollowsAction(state: StateName, input: InputName) {
        let plan = Fixture.plan(persistent: false, resizeTo: 1 << 30)
        var machine = state.make(plan)
        let action = machine.handle(input.input(plan), pivotTries: 20)
        let phases: [String: SwapPhase] = [
            "prepare": .preparing, "undefine": .undefining, "start": .starting, "await": .copying, "converge": .copying,
            "endCopy": .copying, "pivot": .pivoting,
            "grow": .finishing,
            "store": .storing, "rollBack": .rollingBack, "mirrorBack": .pivoting,
        ]
        #expect(machine.phase == phases[action.label])
    }

    @Test(
        "Nothing is rolled back after the pivot", arguments: [StateName.finishing, .storing, .storingAfterFailure],
        InputName.allCases)
    func noRollBackAfterPivot(state: StateName, input: InputName) {
        let plan = Fixture.plan(resizeTo: 1 << 30)
        var machine = state.make(plan)
        #expect(machine.handle(input.input(plan), pivotTries: 20).label != "rollBack")
    }

    @Test("Any sequence of inputs ends, and succeeds only after the store", arguments: 0..<200)
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

    @Test("Only the rebase of a persistent domain undefines", arguments: [SwapStrategy.rebase, .copy], [true, false])
    func undefines(strategy: SwapStrategy, persistent: Bool) {
        let plan = Fixture.plan(strategy: strategy, persistent: persistent)
        var machine = SwapMachine.preparing
        let action = machine.handle(.prepared(plan), pivotTries: 1)
        #expect(action.label == (strategy == .rebase && persistent ? "undefine" : "start"))
    }

    @Test("A pivot refused as too early is retried with growing pauses, then given up", arguments: [0, 1, 5, 20])
    func pivotRetries(limit: Int) {
        let plan = Fixture.plan()
        var machine = SwapMachine.pivoting(plan, tries: 0)
        var pauses: [Duration] = []
        while case .pivot(_, let pause) = machine.handle(.notReady(.rebaseFailed("error 83")), pivotTries: limit) {
            pauses.append(pause)
        }
        #expect(pauses.count == limit)
        #expect(pauses == pauses.sorted())
        #expect(pauses.allSatisfy { $0 >= .milliseconds(10) && $0 <= .milliseconds(500) })
        #expect(machine.phase == .rollingBack)
    }

    @Test("The first pivot is requested at once")
    func firstPivot() {
        var machine = SwapMachine.copying(Fixture.plan())
        guard case .pivot(_, let pause) = machine.handle(.mirrorReady, pivotTries: 3) else {
            Issue.record("no pivot")
            return
        }
        #expect(pause == .zero)
    }

    @Test("A network volume of a different size is retried once through a slice")
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

    @Test("There is no second attempt for a rebase or a known size")
    func noSecondAttempt() {
        for plan in [Fixture.plan(strategy: .rebase, newBytes: nil), Fixture.plan()] {
            var machine = SwapMachine.copying(plan)
            #expect(machine.handle(.sizesDiffer(.rebaseFailed("sizes")), pivotTries: 3).label == "rollBack")
        }
    }

    @Test("There is no second attempt for an image: a window would show its own bytes")
    func noSecondAttemptForImage() {
        let image = VolumeSource(location: .network(NetworkLocation(transport: "nbd", name: "x", hosts: [])), format: "qcow2")
        var machine = SwapMachine.copying(Fixture.plan(newBytes: nil, destination: image))
        let action = machine.handle(.sizesDiffer(.rebaseFailed("sizes", .newVolumeTooSmall)), pivotTries: 3)
        #expect(action.label == "rollBack" && action.failure?.code == .notSupported)
        #expect(action.failure?.reason == "sizes; a qcow2 image must have the old volume's size")
    }

    @Test("There is no second attempt for a LUKS header that only QEMU can read: a window would cut the guest's last bytes off")
    func noSecondAttemptForSealed() {
        let sealed = VolumeSource(
            location: .network(NetworkLocation(transport: "nbd", name: "x", hosts: [])), format: "raw",
            encryption: SecretReference(type: "passphrase"))
        var machine = SwapMachine.copying(Fixture.plan(newBytes: nil, destination: sealed))
        let action = machine.handle(.sizesDiffer(.rebaseFailed("sizes", .newVolumeTooSmall)), pivotTries: 3)
        #expect(action.label == "rollBack" && action.failure?.code == .notSupported)
        #expect(action.failure?.reason.contains("must leave the guest exactly \(64 * Fixture.mebibyte) bytes") == true)
    }

    @Test("A failed resize is a warning, and the result has the disk's true size", arguments: [true, false])
    func resizeAfterPivot(isResized: Bool) {
        var machine = SwapMachine.finishing(Fixture.plan(resizeTo: 1 << 30))
        let input: SwapInput = isResized ? .resized(1 << 30) : .notResized(1 << 26, "refused")
        let store = machine.handle(input, pivotTries: 3)
        #expect(store.label == "store")
        #expect(store.plan?.resized == isResized)
        #expect(store.plan?.capacityBytes == (isResized ? 1 << 30 : 1 << 26))
        #expect(store.plan?.warnings == (isResized ? [] : ["resize: refused"]))
        #expect(machine.handle(.done, pivotTries: 3).label == "complete")
    }

    @Test("A resize tried before a restart is not repeated")
    func resizedOnce() {
        var plan = Fixture.plan(resizeTo: 1 << 30)
        plan.resized = false
        var machine = SwapMachine.resuming(.storing, plan)
        #expect(machine.handle(.observed(.onNew), pivotTries: 3).label == "store")
    }

    @Test("A failed store fails with the new volume in use")
    func notStored() {
        var machine = SwapMachine.storing(Fixture.plan(), nil)
        let end = machine.handle(.failed(.rebaseFailed("read-only", .configurationFailed)), pivotTries: 3)
        #expect(end.failure?.inUse == .new)
        #expect(end.failure?.code == .configurationFailed)
    }

    @Test("A failure names what the roll-back left and the volume in use; an abort stays an abort")
    func rollBackRemainder() {
        var machine = SwapMachine.rollingBack(Fixture.plan(), .abortedByRequest)
        let end = machine.handle(.rolledBack(.old, leftBehind: ["a device is left"]), pivotTries: 3)
        #expect(end.failure?.reason == "aborted by request; a device is left")
        #expect(end.failure?.isAbort == true)
        #expect(end.failure?.inUse == .old)
        #expect(end.failure?.leftBehind == ["a device is left"])
    }

    @Test("A roll-back that finds the disk on the new volume finishes the swap")
    func rollBackFindsNew() {
        var machine = SwapMachine.rollingBack(Fixture.plan(), .rebaseFailed("the pivot failed"))
        #expect(machine.handle(.foundOnNew, pivotTries: 3).label == "store")
        #expect(machine.handle(.done, pivotTries: 3).label == "complete")
    }

    @Test("A roll-back after a requested pivot is marked in its plan", arguments: InputName.allCases)
    func mayHavePivoted(input: InputName) {
        let plan = Fixture.plan()
        var machine = SwapMachine.pivoting(plan, tries: 20)
        let action = machine.handle(input.input(plan), pivotTries: 20)
        guard action.label == "rollBack" else { return }
        #expect(action.plan?.mayHavePivoted == true)
    }

    @Test("A roll-back keeps its cause in the plan for the journal")
    func causeInPlan() {
        var machine = SwapMachine.copying(Fixture.plan())
        let action = machine.handle(.failed(.rebaseFailed("no space")), pivotTries: 3)
        #expect(action.plan?.failure == .rebaseFailed("no space"))
    }

    @Test(
        "A pivot that libvirt lost track of is mirrored back, or else stored where it is; both fail"
    )
    func pivotedUnnoticed() {
        for isBack in [true, false] {
            var machine = SwapMachine.pivoting(Fixture.plan(), tries: 0)
            #expect(machine.handle(.pivotedUnnoticed(.rebaseFailed("cut off")), pivotTries: 3).label == "mirrorBack")
            let next = machine.handle(isBack ? .done : .failed(.rebaseFailed("keep both")), pivotTries: 3)
            #expect(next.label == (isBack ? "rollBack" : "store"))
            let end = machine.handle(isBack ? .rolledBack(.old, leftBehind: []) : .done, pivotTries: 3)
            #expect(end.label == "fail")
            #expect(end.failure?.inUse == (isBack ? .old : .new))
            #expect(end.failure?.reason.hasPrefix(isBack ? "cut off; libvirt lost track" : "keep both") == true)
        }
    }

    @Test("A run begins with the preflight or an inspection")
    func entries() {
        #expect(SwapMachine.begin(.fresh).action.label == "prepare")
        #expect(SwapMachine.begin(.resume(.copying, Fixture.plan())).action.label == "observe")
    }
}
