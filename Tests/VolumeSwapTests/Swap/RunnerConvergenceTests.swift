import JSON
import Synchronization
import Testing

@testable import VolumeSwap

@Suite("Swaps whose copy the guest outruns")
struct RunnerConvergenceTests {
    /// A copy that is in sync at once if it is synchronous, and never otherwise.
    private static func outrun(canChange: Bool) -> FakeHypervisor {
        let hypervisor = FakeHypervisor { hypervisor in
            if hypervisor.state.withLock({ $0.isSynchronous }) { hypervisor.post(.ready) }
        }
        hypervisor.change { $0.canChange = canChange }
        return hypervisor
    }

    private func run(_ bench: Bench, _ options: JSONObject) async throws -> SwapOutcome? {
        let clock = bench.clock
        bench.hypervisor.onLooks(8) { _ in clock.jump(.seconds(60)) }
        return try await bench.run(["options": .object(options)])
    }

    @Test("QEMU changes the running copy where it can")
    func changed() async throws {
        let bench = Bench(Self.outrun(canChange: true))
        let result = try #require(try await run(bench, ["convergence": "auto", "strategy": "copy"])?.result)
        #expect(bench.hypervisor.log.filter { $0 != "set metadata" } == ["copy", "change", "pivot"])
        #expect(result["attempts"] == 1)
        #expect(result["warnings"]?.arrayValue?.first?.stringValue?.contains("write-blocking") == true)
        #expect(bench.observer.log == ["started", "changed", "pivoting", "ended"])
        #expect(bench.control.progress.isSynchronous == true)
    }

    @Test("Else the copy is ended and begun again with synchronous writes, once", arguments: [true, false])
    func begunAgain(isRefused: Bool) async throws {
        let bench = Bench(Self.outrun(canChange: isRefused))
        if isRefused { bench.hypervisor.fail(.change, .init(error: HypervisorError(.other, "QEMU refused block-job-change"))) }
        let result = try #require(try await run(bench, ["convergence": "auto", "strategy": "copy"])?.result)
        #expect(bench.hypervisor.log == ["copy", "change", "abort", "copy", "pivot"])
        #expect(result["attempts"] == 2)
        #expect(result["strategy"] == "copy")
        #expect(bench.observer.log == ["started", "ending", "begunAgain", "pivoting", "ended"])
        #expect(bench.hypervisor.state.withLock { $0.isSynchronous })
    }

    @Test("A journal that cannot store the change ends no copy")
    func fullDisk() async throws {
        let bench = Bench(Self.outrun(canChange: true))
        let (clock, journal) = (bench.clock, bench.journal)
        bench.hypervisor.onLooks(8) { _ in
            journal.fail("enter:copying", times: 1)
            clock.jump(.seconds(60))
        }
        let result = try await bench.run(["options": ["convergence": "auto", "strategy": "copy"]])?.result
        #expect(result != nil && journal.failures("enter:copying") == 1)
        #expect(bench.hypervisor.log.filter { $0 != "set metadata" } == ["copy", "change", "pivot"])
    }

    @Test("An unanswered change is repeated, since nothing is known of it")
    func unanswered() async throws {
        let bench = Bench(Self.outrun(canChange: true))
        bench.hypervisor.fail(.change, .init(error: HypervisorError(.busy, "no answer"), isDone: true))
        #expect(try await run(bench, ["convergence": "auto", "strategy": "copy"])?.result != nil)
        #expect(bench.hypervisor.log == ["copy", "change", "change", "pivot"])
    }

    @Test("A transient domain's rebase is begun again as a copy; one that was demanded goes on", arguments: [nil, "rebase"])
    func rebase(strategy: String?) async throws {
        let bench = Bench(Self.outrun(canChange: false))
        bench.hypervisor.change {
            $0.status.isPersistent = false
            $0.storedSource = nil
        }
        var options: JSONObject = ["convergence": "auto", "stall_timeout_s": 3600]
        options["strategy"] = strategy.map { .string($0) }
        guard strategy == nil else {
            let control = bench.control
            let clock = bench.clock
            bench.hypervisor.onLooks(8) { hypervisor in
                clock.jump(.seconds(60))
                hypervisor.onLooks(8) { _ in _ = control.requestAbort() }
            }
            let failure = try await bench.run(["options": .object(options)])?.failure
            #expect(failure?.isAbort == true)
            #expect(bench.hypervisor.count("rebase") == 1 && bench.hypervisor.count("copy") == 0)
            #expect(bench.observer.log == ["started", "impossible", "ended"])
            return
        }
        let result = try #require(try await run(bench, options)?.result)
        #expect(bench.hypervisor.count("rebase") == 1 && bench.hypervisor.count("copy") == 1)
        #expect(result["strategy"] == "copy")
    }

    @Test("Where libvirt has no synchronous writes, or QEMU could abort, the copy goes on, and stalls in its own time")
    func noSynchronousWrites() async throws {
        let bench = Bench(Self.outrun(canChange: false))
        bench.hypervisor.change { $0.obstacleToSynchronousWrites = "QEMU 10.1 can abort" }
        let clock = bench.clock
        bench.hypervisor.onLooks(8) { hypervisor in
            clock.jump(.seconds(60))
            hypervisor.onLooks(8) { _ in clock.jump(.seconds(100)) }
        }
        let options: JSONObject = ["convergence": "auto", "strategy": "copy", "stall_timeout_s": 100]
        let failure = try await bench.run(["options": .object(options)])?.failure
        #expect(failure?.code == .stalled)
        #expect(bench.hypervisor.log == ["copy", "change", "abort"])
        let warnings = try #require(bench.control.plan).warnings
        #expect(warnings.contains { $0.hasSuffix("this QEMU has no block-job-change, and QEMU 10.1 can abort") }, "\(warnings)")
    }

    @Test("Convergence comes before the stall time-out")
    func beforeTheStall() async throws {
        let bench = Bench(Self.outrun(canChange: true))
        let clock = bench.clock
        // Half of the stall time-out, which is shorter than the window.
        bench.hypervisor.onLooks(8) { _ in clock.jump(.seconds(6)) }
        let options: JSONObject = ["convergence": "auto", "strategy": "copy", "stall_timeout_s": 10]
        #expect(try await bench.run(["options": .object(options)])?.result != nil)
        #expect(bench.hypervisor.log == ["copy", "change", "pivot"])
    }

    /// From now on the guest writes 1 MiB, as much as is copied, in the half second from look to look.
    @Sendable static func write(_ hypervisor: FakeHypervisor, _ clock: JumpingClock) {
        clock.jump(.milliseconds(500))
        hypervisor.change { $0.job = $0.job?.moved(by: 1 << 20) }
        hypervisor.onLooks(1) { write($0, clock) }
    }

    @Test("A copy that was in sync, and that the guest has outrun since, is changed, else goes on; it is not begun again")
    func outrunInSync() async throws {
        for canChange in [true, false] {
            var bench = Bench(FakeHypervisor(onChange: { $0.change { $0.job = BlockJobInfo(type: "copy", cursor: 9, end: 9) } }))
            let (hypervisor, clock) = (bench.hypervisor, bench.clock)
            hypervisor.startJob(to: Fixture.newPath, ready: true)
            hypervisor.change { state in
                state.job?.end = 1 << 40
                state.canChange = canChange
            }
            bench.onPhase = { if $0 == .copying { Self.write(hypervisor, clock) } }
            let outcome = try await bench.run(["options": ["convergence": "auto", "stall_timeout_s": 60]])
            #expect(canChange ? outcome?.result?["attempts"] == 1 : outcome?.failure?.code == .stalled)
            #expect(hypervisor.count("pivot") == (canChange ? 1 : 0))
            #expect(hypervisor.count("change") == 1 && hypervisor.count("copy") == 0)
            #expect(bench.observer.log.contains(canChange ? "changed" : "impossible"))
        }
    }

    @Test("A copy that does not move is not outrun: its destination may hang, and the guest must not wait for it")
    func hungDestination() async throws {
        let bench = Bench(Self.outrun(canChange: true))
        bench.hypervisor.change { $0.isStuck = true }
        let options: JSONObject = ["convergence": "auto", "strategy": "copy", "stall_timeout_s": 50]
        let clock = bench.clock
        bench.hypervisor.onLooks(8) { hypervisor in
            clock.jump(.seconds(60))
            hypervisor.onLooks(4) { $0.change { $0.isStuck = false } }
        }
        #expect(try await bench.run(["options": .object(options)])?.failure?.code == .stalled)
        #expect(bench.hypervisor.count("change") == 0)
    }
}
