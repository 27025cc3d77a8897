import JSON
import Synchronization
import Testing

@testable import VolumeSwap

@Suite("Interference by others at the wrong moment", .timeLimit(.minutes(5)))
struct RunnerRaceTests {
    private static let rebase: JSONObject = ["options": ["strategy": "rebase"]]

    @Test("An abandoned undefine that is carried out late is undone")
    func lateUndefine() async throws {
        var bench = Bench(FakeHypervisor { _ in })
        let hypervisor = bench.hypervisor
        hypervisor.change { $0.hanging = .undefine }
        bench.onPhase = { phase in
            guard phase == .rollingBack else { return }
            hypervisor.change { $0.hanging = nil }
            // The domain's calls queue up: the inspection is answered after the undefine.
            hypervisor.onLooks(1) { $0.change { ($0.status.isPersistent, $0.storedSource) = (false, nil) } }
        }
        let running = bench
        let task = Task { try await running.run(Self.rebase) }
        await hypervisor.untilHanging()
        #expect(bench.control.requestAbort())
        #expect(try await task.value?.failure?.isAbort == true)
        #expect(hypervisor.state.withLock { $0.status.isPersistent })
    }

    @Test("A definition is restored even if the disk leaves the new volume before it is stored")
    func leftBeforeStore() async throws {
        var bench = Bench()
        let hypervisor = bench.hypervisor
        bench.onPhase = { if $0 == .storing { hypervisor.change { $0.liveSource = "/volumes/third" } } }
        let failure = try await bench.run(Self.rebase)?.failure
        #expect(failure?.inUse == .unknown)
        #expect(hypervisor.state.withLock { $0.status.isPersistent && $0.storedSource == "/volumes/third" && $0.metadata == nil })
    }

    @Test("No failure is reported while the guest was last seen on the new volume")
    func seenOnNew() async throws {
        var bench = Bench(FakeHypervisor { _ in })
        bench.rollBackPatience = .milliseconds(50)
        let hypervisor = bench.hypervisor
        let control = bench.control
        let isFirst = Mutex(true)
        bench.onPhase = { phase in
            if phase == .copying { _ = control.requestAbort() }
            guard phase == .rollingBack, isFirst.withLock({ first in (first, first = false).0 }) else { return }
            hypervisor.finishPivot()
            for _ in 0..<4 { hypervisor.fail(.define, .init(error: HypervisorError(.other, "read-only file system"))) }
        }
        let told = Mutex<[SwapFailure]>([])
        #expect(try await bench.run(Self.rebase) { failure in told.withLock { $0.append(failure) } }?.result != nil)
        #expect(told.withLock { $0 } == [])
    }

    @Test("An abort does not stop a disk from being brought back")
    func abortedThenLost() async throws {
        var bench = Bench(FakeHypervisor { _ in })
        let hypervisor = bench.hypervisor
        let control = bench.control
        bench.onPhase = { phase in
            if phase == .copying { _ = control.requestAbort() }
            if phase == .rollingBack, control.plan?.isMirroredBack == nil {
                hypervisor.change { ($0.mirror, $0.job, $0.hasPivotedUnnoticed) = (nil, nil, true) }
            }
        }
        let failure = try await bench.run(["options": ["strategy": "copy"]])?.failure
        #expect(hypervisor.count("bring back") == 1)
        #expect(failure?.isAbort == true && failure?.inUse == .old)
    }

    @Test(
        "A domain whose definition was restored before a restart and is missing after it was deleted", arguments: [true, false])
    func deletedMeanwhile(isDefinedAgain: Bool) async throws {
        let bench = Bench()
        bench.hypervisor.change { ($0.isKnown, $0.status.isActive, $0.status.isPersistent) = (false, false, false) }
        var plan = Fixture.plan(strategy: .rebase)
        plan.failure = .abortedByRequest
        plan.isDefinedAgain = isDefinedAgain
        _ = try await bench.run(from: .resume(.rollingBack, plan))
        #expect(bench.hypervisor.count("define") == (isDefinedAgain ? 0 : 1))
    }

    @Test("An adopted rebase owes no definition")
    func adoptedRebase() async throws {
        let bench = Bench()
        bench.hypervisor.startJob(to: Fixture.newPath, ready: true, cursor: 64 << 20)
        #expect(try await bench.run(Self.rebase)?.result != nil)
        #expect(bench.hypervisor.count("undefine") == 0)
        #expect(bench.journal.stored("task-1")?.plan?.isDefinedAgain == true)
    }

    @Test("The journal does not forget that a definition is restored when the roll-back finds the guest on the new volume")
    func restoredAndFoundOnNew() async throws {
        var bench = Bench()
        let hypervisor = bench.hypervisor
        hypervisor.change { state in
            state.status.isPersistent = false
            state.metadata = try? DomainXML.recoveryMetadata(
                task: TaskID("task-1"), disk: "vdb", definition: Fixture.domainXML(source: Fixture.oldPath), isAutostarted: false)
        }
        bench.onPhase = { if $0 == .rollingBack { hypervisor.change { $0.liveSource = Fixture.newPath } } }
        let outcome = try await bench.run(from: .resume(.copying, Fixture.plan(strategy: .rebase)))
        #expect(outcome?.result != nil && bench.journal.phases.contains(.storing))
        #expect(bench.journal.stored("task-1")?.plan?.isDefinedAgain == true)
    }

    @Test("A restored definition is journaled", arguments: [true, false])
    func journaled(succeeds: Bool) async throws {
        let bench = Bench(FakeHypervisor { $0.post(succeeds ? .ready : .failed) })
        let outcome = try await bench.run(Self.rebase)
        #expect((outcome?.result != nil) == succeeds)
        #expect(bench.journal.stored("task-1")?.plan?.isDefinedAgain == true)
    }

    @Test("An abort is answered while a restarted task is being undone")
    func abortWhileUndoing() async throws {
        var bench = Bench(FakeHypervisor(onCopy: { _ in }, cancels: false))
        bench.rollBackPatience = .milliseconds(20)
        let hypervisor = bench.hypervisor
        // A copy whose destination libvirt has forgotten and that cannot be cancelled.
        hypervisor.change { $0.job = BlockJobInfo(type: "copy", cursor: 0, end: 64 << 20) }
        let (answers, answer) = AsyncStream<SwapFailure>.makeStream()
        let running = bench
        let task = Task { try await running.run(from: .resume(.starting, Fixture.plan())) { answer.yield($0) } }
        while hypervisor.count("abort") == 0 { await Task.yield() }
        #expect(bench.control.requestAbort())
        for await told in answers {
            #expect(told.isAbort)
            break
        }
        hypervisor.post(.canceled)
        #expect(try await task.value?.failure?.isAbort == true)
    }

    @Test(
        "A guest that stopped while its disk was mirrored back starts on the complete new volume",
        arguments: [SwapStrategy.copy, .rebase])
    func stoppedWhileMirroredBack(strategy: SwapStrategy) async throws {
        let bench = Bench()
        bench.hypervisor.change { state in
            state.status = DomainStatus(isActive: false, isPersistent: strategy == .copy)
            state.isKnown = strategy == .copy
            state.storedSource = strategy == .copy ? Fixture.newPath : nil
        }
        var plan = Fixture.plan(strategy: strategy)
        plan.isMirroredBack = false
        let failure = try await bench.run(from: .resume(.pivoting, plan))?.failure
        #expect(failure?.reason.contains("keep both volumes") == true)
        #expect(bench.hypervisor.state.withLock { $0.storedSource } == Fixture.newPath)
    }

    @Test("A failed preflight is answered although its disconnect hangs, with what is left behind until then")
    func answeredBeforeRelease() async throws {
        let connector = FakeConnector(isConfigured: true, disconnectHangs: true)
        var bench = Bench(FakeHypervisor(), connector: connector)
        bench.rollBackPatience = .milliseconds(20)
        bench.hypervisor.set(Fixture.newPath, bytes: 1 << 20)
        let info: JSONValue = ["driver_volume_type": "fibre_channel", "data": [:], "serial": "new-volume"]
        let (answers, answer) = AsyncStream<SwapFailure>.makeStream()
        let running = bench
        let task = Task { try await running.run(["new_connection_info": info]) { answer.yield($0) } }
        for await told in answers {
            #expect(told.kind == .invalidVolume && told.inUse == .old && told.leftBehind.count == 1)
            break
        }
        connector.letDisconnect()
        #expect(try await task.value?.failure?.leftBehind == [])
    }

    @Test("An abort does not interrupt the disconnect after a failed preflight")
    func releaseGoesOn() async throws {
        let connector = FakeConnector(isConfigured: true, disconnectHangs: true)
        let bench = Bench(FakeHypervisor(), connector: connector)
        bench.hypervisor.set(Fixture.newPath, bytes: 1 << 20)
        let info: JSONValue = ["driver_volume_type": "fibre_channel", "data": [:], "serial": "new-volume"]
        let task = Task { try await bench.run(["new_connection_info": info]) }
        while connector.log.last != "disconnect new-volume" { await Task.yield() }
        _ = bench.control.requestAbort()
        for _ in 0..<1000 { await Task.yield() }
        connector.letDisconnect()
        #expect(try await task.value?.failure?.leftBehind == [])
        #expect(connector.log == ["connect new-volume", "disconnect new-volume", "disconnected"])
    }
}
