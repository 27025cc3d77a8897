import JSON
import Synchronization
import Testing

@testable import VolumeSwap

@Suite("The journal fails or pivotd stops during a swap")
struct RunnerJournalTests {
    @Test(
        "Before the pivot the step is skipped and the swap rolled back",
        arguments: [SwapPhase.undefining, .starting, .pivoting])
    func beforePivot(phase: SwapPhase) async throws {
        let bench = Bench()
        bench.journal.fail("enter:\(phase.rawValue)")
        let failure = try await bench.run(["options": ["strategy": "rebase"]])?.failure
        #expect(failure?.kind == .volumeRebaseFailed)
        #expect(failure?.reason.contains("no space left") == true)
        #expect(bench.hypervisor.count("pivot") == 0)
        RunnerFailureTests.expectUntouched(bench)
    }

    @Test("A phase that the domain shows afterwards is not awaited", arguments: [SwapPhase.preparing, .copying])
    func seenAfterwards(phase: SwapPhase) async throws {
        let bench = Bench()
        bench.journal.fail("enter:\(phase.rawValue)")
        #expect(try await bench.run()?.result != nil)
        #expect(!bench.journal.phases.contains(phase))
        #expect(bench.journal.stored("task-1")?.plan != nil)
    }

    @Test("Synced is what a power loss must not take back")
    func synced() async throws {
        let bench = Bench()
        #expect(try await bench.run(["options": ["strategy": "copy"]])?.result != nil)
        #expect(bench.journal.synced == [.pivoting, .storing])

        let taking = Bench()
        #expect(try await taking.run(["options": ["strategy": "rebase"]])?.result != nil)
        #expect(taking.journal.synced.starts(with: [.undefining, .starting, .pivoting, .storing]))

        let remote = Bench()
        remote.hypervisor.change { $0.isOnThisHost = false }
        #expect(try await remote.run(["options": ["strategy": "copy"]])?.result != nil)
        #expect(remote.journal.synced == [.starting, .pivoting, .storing])
    }

    @Test("After the pivot the swap is finished all the same", arguments: [SwapPhase.finishing, .storing])
    func afterPivot(phase: SwapPhase) async throws {
        let bench = Bench()
        bench.hypervisor.set(Fixture.newPath, bytes: 2 << 30)
        bench.journal.fail("enter:\(phase.rawValue)")
        #expect(try await bench.run(["resize_to": 1])?.result != nil)
    }

    @Test("A roll-back is done all the same")
    func rollBack() async throws {
        let bench = Bench(FakeHypervisor { $0.post(.failed) })
        bench.journal.fail("enter:rolling_back")
        #expect(try await bench.run(["options": ["strategy": "rebase"]])?.failure != nil)
        RunnerFailureTests.expectUntouched(bench)
    }

    static func cancelCurrentTask() { withUnsafeCurrentTask { $0?.cancel() } }

    @Test("Stopping leaves a copy to the hypervisor, without an outcome or abort")
    func stopWhileCopying() async throws {
        var bench = Bench(FakeHypervisor { _ in })
        bench.onPhase = { if $0 == .copying { Self.cancelCurrentTask() } }
        let run = bench
        let outcome = try await Task { try await run.run() }.value
        #expect(outcome == nil)
        #expect(bench.hypervisor.log == ["copy"])
        #expect(bench.journal.stored("task-1")?.phase == .copying)
        #expect(bench.journal.stored("task-1")?.plan != nil)
    }

    @Test(
        "Stopping can leave a swap anywhere, and the next start finishes it",
        arguments: [SwapPhase.copying, .pivoting, .storing],
        ["copy", "rebase"])
    func stopAndGoOn(phase: SwapPhase, strategy: String) async throws {
        var bench = Bench()
        let hasStopped = Mutex(false)
        bench.onPhase = { entered in
            guard entered == phase, !hasStopped.withLock({ $0 }) else { return }
            hasStopped.withLock { $0 = true }
            Self.cancelCurrentTask()
        }
        let run = bench
        let options: JSONObject = ["options": ["strategy": .string(strategy)]]
        let outcome = try await Task { try await run.run(options) }.value
        // A step that does not wait is finished first.
        guard outcome == nil else {
            #expect(phase == .storing && outcome?.result != nil)
            return
        }
        let record = try #require(bench.journal.stored("task-1"))
        let plan = try #require(record.plan)
        let end = try await bench.run(options, from: .resume(record.phase, plan))
        #expect(end?.result != nil)
        #expect(bench.hypervisor.state.withLock { $0.storedSource } == Fixture.newPath)
    }

    @Test("A disconnect of the old volume that a stop cuts off is made by the next start")
    func stopWhileDisconnecting() async throws {
        let bench = Bench(FakeHypervisor(), connector: FakeConnector(isConfigured: true, disconnectHangs: true))
        let arguments: JSONObject = [
            "old_connection_info": [
                "driver_volume_type": "fibre_channel", "serial": "old-volume", "data": ["device_path": .string(Fixture.oldPath)],
            ]
        ]
        let task = Task { try await bench.run(arguments) }
        while bench.connector.log.isEmpty { await Task.yield() }
        task.cancel()
        #expect(try await task.value == nil)
        bench.connector.letDisconnect()
        let record = try #require(bench.journal.stored("task-1"))
        let end = try await bench.run(arguments, from: .resume(record.phase, try #require(record.plan)))
        #expect(end?.result?["warnings"] == [])
        #expect(bench.connector.log == ["disconnect old-volume", "disconnect old-volume"])
    }

    @Test("So is one of a new volume that an earlier process may have attached")
    func stopWhileReleasing() async throws {
        let bench = Bench(FakeHypervisor(), connector: FakeConnector(isConfigured: true, disconnectHangs: true))
        bench.control.refuse(.invalidVolume("too small", .newVolumeTooSmall))
        let info: JSONValue = ["driver_volume_type": "fibre_channel", "data": [:], "serial": "new-volume"]
        let task = Task { try await bench.run(["new_connection_info": info], from: .again) }
        while bench.connector.log.isEmpty { await Task.yield() }
        task.cancel()
        #expect(try await task.value == nil)
    }

    @Test("A swap continues where recovery found it", arguments: ["adopt", "finish", "rollBack"])
    func entries(name: String) async throws {
        let bench = Bench()
        let plan = Fixture.plan()
        let outcome: SwapOutcome?
        switch name {
        case "adopt":
            bench.hypervisor.startJob(to: Fixture.newPath, ready: true, cursor: 64 << 20)
            outcome = try await bench.run(from: .resume(.copying, plan))
            #expect(bench.hypervisor.log == ["speed 0", "pivot"])
        case "finish":
            bench.hypervisor.change { $0.liveSource = Fixture.newPath }
            outcome = try await bench.run(from: .resume(.finishing, plan))
            #expect(bench.hypervisor.log == ["define"])
        default:
            bench.hypervisor.startJob(to: Fixture.newPath)
            var undone = plan
            undone.failure = .rebaseFailed("found so")
            outcome = try await bench.run(from: .resume(.rollingBack, undone))
            #expect(bench.hypervisor.log == ["abort"])
            #expect(outcome?.failure?.reason == "found so")
        }
        #expect((outcome?.result != nil) == (name != "rollBack"))
    }
}
