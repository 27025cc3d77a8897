import JSON
import Testing

@testable import VolumeSwap

@Suite("An abort ends any pending call", .timeLimit(.minutes(5)))
struct RunnerInterruptionTests {
    /// Runs a swap until `call` hangs, aborts it, and lets the call return when the roll-back has begun.
    private static func abort(
        while call: FakeHypervisor.Call, strategy: String, from entry: SwapEntry = .fresh
    ) async throws -> (SwapOutcome?, Bench) {
        var bench = Bench(FakeHypervisor { _ in })
        let hypervisor = bench.hypervisor
        hypervisor.change { $0.hanging = call }
        bench.onPhase = { if $0 == .rollingBack { hypervisor.change { $0.hanging = nil } } }
        let running = bench
        let task = Task { try await running.run(["options": ["strategy": .string(strategy)]], from: entry) }
        await hypervisor.untilHanging()
        #expect(bench.control.requestAbort())
        return (try await task.value, bench)
    }

    @Test(
        "An abort ends the start of a copy, the undefine, and saving the definition",
        arguments: [
            (FakeHypervisor.Call.copy, "copy"), (.rebase, "rebase"), (.undefine, "rebase"), (.setMetadata, "rebase"),
        ])
    func hangingWrite(call: FakeHypervisor.Call, strategy: String) async throws {
        let (outcome, bench) = try await Self.abort(while: call, strategy: strategy)
        #expect(outcome?.failure?.isAbort == true)
        #expect(outcome?.failure?.inUse == .old)
        RunnerFailureTests.expectUntouched(bench)
    }

    @Test("An abort ends the first inspection after a restart")
    func hangingLook() async throws {
        let (outcome, bench) = try await Self.abort(
            while: .status, strategy: "copy", from: .resume(.starting, Fixture.plan()))
        #expect(outcome?.failure?.isAbort == true)
        #expect(bench.hypervisor.count("copy") == 0)
    }

    @Test("An abort before the first step after a restart releases what may have been attached")
    func attached() async throws {
        let connector = FakeConnector(isConfigured: true)
        let bench = Bench(FakeHypervisor(), connector: connector)
        _ = bench.control.requestAbort()
        let info: JSONValue = ["driver_volume_type": "fibre_channel", "data": [:], "serial": "new-volume"]
        let outcome = try await bench.run(["new_connection_info": info], from: .again)
        #expect(outcome?.failure?.isAbort == true)
        #expect(connector.log == ["disconnect new-volume"])
    }

    @Test("No failure is reported while someone else's pivot of the copy is under way")
    func pivotUnderWay() async throws {
        var bench = Bench(FakeHypervisor { $0.change { $0.isEnding = "pivot" } })
        bench.rollBackPatience = .milliseconds(5)
        let hypervisor = bench.hypervisor
        let control = bench.control
        // Once the watcher has seen the pivot.
        hypervisor.onLooks(3) { hypervisor in
            _ = control.requestAbort()
            hypervisor.onLooks(6) { $0.finishPivot() }
        }
        let (answers, answer) = AsyncStream<SwapFailure>.makeStream()
        #expect(try await bench.run { answer.yield($0) }?.result != nil)
        answer.finish()
        for await failure in answers { Issue.record("told early: \(failure)") }
    }

    @Test("A task whose disk was not seen since a restart is answered with in_use unknown")
    func nothingSeen() async throws {
        var bench = Bench(FakeHypervisor { _ in })
        bench.rollBackPatience = .milliseconds(5)
        let hypervisor = bench.hypervisor
        hypervisor.change { $0.hanging = .status }
        var plan = Fixture.plan()
        plan.failure = .abortedByRequest
        let (answers, answer) = AsyncStream<SwapFailure>.makeStream()
        let running = bench
        let resumed = plan
        let task = Task { try await running.run(from: .resume(.rollingBack, resumed)) { answer.yield($0) } }
        for await failure in answers {
            #expect(failure.inUse == .unknown)
            #expect(failure.reason.contains("keep both volumes"))
            break
        }
        hypervisor.change { $0.hanging = nil }
        #expect(try await task.value?.failure?.inUse == .old)
    }
}
