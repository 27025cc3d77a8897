import JSON
import Synchronization
import Testing

@testable import VolumeSwap

@Suite("Hanging calls are not answers")
struct RunnerHangTests {
    static let busy = FakeHypervisor.Trouble(
        error: HypervisorError(.busy, number: 68, "cannot acquire state change lock (held by monitor=remoteDispatch)"))

    @Test("Every call to a domain that does not answer for a while is repeated", arguments: FakeHypervisor.Call.allCases)
    func lockTimeout(call: FakeHypervisor.Call) async throws {
        guard ![.domains, .secret, .makeSecret, .removeSecret, .inspect, .mirrorBack, .metadata].contains(call) else {
            return
        }
        let bench = Bench()
        bench.hypervisor.set(Fixture.newPath, bytes: 2 << 30)
        let isAfterStart: Set<FakeHypervisor.Call> = [.status, .xml, .capacity, .jobInfo]
        let run = isAfterStart.contains(call) ? bench.failingOnceCopying(call, Self.busy) : bench
        bench.hypervisor.fail(call, Self.busy)
        let options: JSONObject = call == .grow ? ["resize_to": 1] : ["options": ["strategy": "copy"]]
        #expect(try await run.run(options)?.result != nil)
        #expect(bench.hypervisor.state.withLock { $0.liveSource } == Fixture.newPath)
    }

    @Test("An accepted pivot is awaited, however long nothing answers")
    func slowPivot() async throws {
        let bench = Bench(
            FakeHypervisor(onPivot: { hypervisor throws(HypervisorError) in
                hypervisor.change { $0.isEnding = "pivot" }
                hypervisor.fail(.jobInfo, Self.busy, Self.busy)
                // Each inspection sees the pivot under way; the third one ends it.
                hypervisor.onLooks(3) { $0.finishPivot() }
                throw HypervisorError(.connectionLost, "the connection was reset")
            }))
        #expect(try await bench.run()?.result != nil)
        #expect(bench.hypervisor.count("abort") == 0)
        #expect(bench.hypervisor.count("pivot") == 1)
    }

    @Test("A cancel that hangs is forced, and the roll-back ends only when the copy is gone")
    func hangingCancel() async throws {
        let bench = Bench(FakeHypervisor(onCopy: { _ in }, cancels: false, forces: true))
        let clock = bench.clock
        bench.hypervisor.onLooks(8) { _ in clock.jump(.seconds(7200)) }
        let failure = try await bench.run(["options": ["stall_timeout_s": 3600]])?.failure
        #expect(failure?.code == .stalled)
        #expect(failure?.inUse == .old)
        #expect(bench.hypervisor.count("force") == 1)
        RunnerFailureTests.expectUntouched(bench)
    }

    @Test("A copy whose destination takes no writes is not cancelled until it does, since that would stop the guest")
    func destinationHangs() async throws {
        let hypervisor = FakeHypervisor { $0.change { $0.isStuck = true } }
        var bench = Bench(hypervisor)
        bench.rollBackPatience = .milliseconds(50)
        let (answers, answer) = AsyncStream<SwapFailure>.makeStream()
        let running = bench
        let clock = bench.clock
        bench.hypervisor.onLooks(8) { _ in clock.jump(.seconds(7200)) }
        let task = Task { try await running.run(["options": ["stall_timeout_s": 3600]]) { answer.yield($0) } }
        for await _ in answers { break }
        #expect(hypervisor.count("abort") == 0)
        hypervisor.change { $0.isStuck = false }
        #expect(try await task.value?.failure?.inUse == .old)
        #expect(hypervisor.count("abort") == 1)
    }

    @Test("The cancel of a copy that takes writes says nothing else of it")
    func destinationTakesWrites() async throws {
        var bench = Bench(FakeHypervisor(onCopy: { _ in }))
        let control = bench.control
        bench.onPhase = { if $0 == .copying { _ = control.requestAbort() } }
        #expect(try await bench.run()?.failure?.isAbort == true)
        let history = try await bench.journal.history(TaskID("task-1")).map { "\($0)" }
        #expect(!history.isEmpty)
        #expect(history.filter { $0.contains("takes no writes") } == [])
    }

    @Test("The caller is answered before a long roll-back, which goes on")
    func answeredEarly() async throws {
        var bench = Bench(FakeHypervisor(onCopy: { _ in }, cancels: false, forces: false))
        bench.rollBackPatience = .milliseconds(50)
        let (answers, answer) = AsyncStream<SwapFailure>.makeStream()
        let running = bench
        let clock = bench.clock
        bench.hypervisor.onLooks(8) { _ in clock.jump(.seconds(7200)) }
        let task = Task { try await running.run(["options": ["stall_timeout_s": 3600]]) { answer.yield($0) } }
        var told: SwapFailure?
        for await failure in answers {
            told = failure
            break
        }
        #expect(told?.code == .stalled)
        #expect(told?.inUse == .old)
        #expect(told?.leftBehind.count == 1)
        #expect(bench.journal.stored("task-1")?.phase == .rollingBack)
        bench.hypervisor.post(.canceled)
        #expect(try await task.value?.failure?.leftBehind == [])
        RunnerFailureTests.expectUntouched(bench)
    }

    @Test("An instance that was deleted during a copy stays deleted", arguments: [true, false])
    func deletedInstance(isBeforePivot: Bool) async throws {
        let delete: @Sendable (FakeHypervisor) -> Void = { hypervisor in
            hypervisor.change { state in
                state.status.isPersistent = false
                state.storedSource = nil
                if isBeforePivot { (state.isKnown, state.status.isActive, state.mirror, state.job) = (false, false, nil, nil) }
            }
            hypervisor.post(isBeforePivot ? .stopped(reason: "destroyed from the host") : .recheck)
        }
        let bench = Bench(
            FakeHypervisor { hypervisor in
                delete(hypervisor)
                if !isBeforePivot { hypervisor.post(.ready) }
            })
        let outcome = try await bench.run()
        #expect(bench.hypervisor.count("define") == 0)
        if isBeforePivot {
            #expect(outcome?.failure?.code == .guestGone)
            #expect(outcome?.failure?.inUse == VolumeInUse.none)
        } else {
            #expect(outcome?.result?["warnings"]?.arrayValue?.isEmpty == false)
        }
    }

    @Test("A roll-back only ends the copy onto its own volume")
    func foreignCopy() async throws {
        let bench = Bench()
        bench.hypervisor.startJob(to: "/volumes/somebody-elses")
        let outcome = try await bench.run(from: .resume(.rollingBack, Fixture.plan()))
        #expect(outcome?.failure?.inUse == .old)
        #expect(bench.hypervisor.count("abort") == 0)
    }

    @Test("rebase keeps autostart", arguments: [true, false])
    func autostart(fails: Bool) async throws {
        let bench = Bench()
        bench.hypervisor.change { $0.isAutostarted = true }
        if fails { bench.hypervisor.fail(.rebase, .init(error: HypervisorError(.other, "refused"))) }
        _ = try await bench.run(["options": ["strategy": "rebase"]])
        #expect(bench.hypervisor.state.withLock { $0.isAutostarted })
    }

    @Test("An abort ends a preflight that hangs")
    func abortWhilePreparing() async throws {
        let bench = Bench(FakeHypervisor(), connector: FakeConnector(hangs: true))
        let running = bench
        let info: JSONValue = ["driver_volume_type": "fibre_channel", "data": [:], "serial": "new-volume"]
        let task = Task { try await running.run(["new_connection_info": info]) }
        await bench.connector.untilAsked()
        #expect(bench.control.requestAbort())
        #expect(try await task.value?.failure?.isAbort == true)
    }
}

extension Bench {
    /// A bench whose hypervisor fails in some way once the copy runs.
    fileprivate func failingOnceCopying(_ call: FakeHypervisor.Call, _ trouble: FakeHypervisor.Trouble) -> Bench {
        var bench = self
        let hypervisor = hypervisor
        bench.onPhase = { if $0 == .copying { hypervisor.fail(call, trouble) } }
        return bench
    }
}
