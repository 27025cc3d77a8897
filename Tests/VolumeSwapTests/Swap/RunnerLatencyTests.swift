import Budgets
import JSON
import Synchronization
import Testing

@testable import VolumeSwap

@Suite("Swaps with a budget for the guest's latency")
struct RunnerLatencyTests {
    private static let mib: Int64 = 1 << 20

    /// A copy that is in sync after so many looks, under a guest whose requests take this long.
    private func bench(milliseconds: Int64, looks: Int = 40) -> Bench {
        let bench = Bench(FakeHypervisor { _ in })
        bench.hypervisor.change { $0.work = DiskStatistics(requests: 20, nanoseconds: 20 * milliseconds * 1_000_000) }
        let clock = bench.clock
        bench.hypervisor.onLooks(1) { hypervisor in Self.tick(hypervisor, clock, left: looks) }
        return bench
    }

    /// Half a second between two looks, while the copy moves by 8 MiB.
    @Sendable private static func tick(_ hypervisor: FakeHypervisor, _ clock: JumpingClock, left: Int) {
        clock.jump(.milliseconds(500))
        hypervisor.change { $0.job = $0.job?.moved(by: 8 * mib) }
        guard left > 0 else { return hypervisor.post(.ready) }
        hypervisor.onLooks(1) { tick($0, clock, left: left - 1) }
    }

    private func speeds(_ bench: Bench) -> [Int64] {
        bench.hypervisor.log.compactMap { $0.hasPrefix("speed ") ? Int64($0.dropFirst(6)) : nil }
    }

    @Test("A copy that makes the guest slow is slowed down to the floor, and still ends")
    func slow() async throws {
        let bench = bench(milliseconds: 20, looks: 26)
        let result = try #require(try await bench.run(["options": ["guest_latency_budget": 10]])?.result)
        #expect(result["attempts"] == 1)
        let speeds = speeds(bench)
        #expect(speeds == speeds.sorted(by: >))
        #expect(speeds.last == Self.mib)
        #expect(bench.control.progress.guestLatency == 20)
    }

    @Test("A copy that the guest does not notice is sped up")
    func fast() async throws {
        let bench = bench(milliseconds: 2)
        #expect(try await bench.run(["options": ["guest_latency_budget": "10"]])?.result != nil)
        let speeds = speeds(bench)
        #expect(speeds == speeds.sorted())
        #expect((speeds.first ?? 0) > LatencyGovernor.start)
    }

    @Test("The copy's own limit stays an upper bound")
    func limited() async throws {
        let bench = bench(milliseconds: 2)
        let options: JSONObject = ["guest_latency_budget": 10, "bandwidth_mib_s": 4]
        #expect(try await bench.run(["options": .object(options)])?.result != nil)
        #expect(speeds(bench).isEmpty)
        #expect(bench.hypervisor.state.withLock { $0.speed } == 4 * Self.mib)
    }

    @Test("If the guest outruns it there, it gets twice as much each half of the convergence window, and no other copy is begun")
    func outrun() async throws {
        let bench = bench(milliseconds: 20, looks: 100)
        let options: JSONObject = ["guest_latency_budget": 10, "convergence": "auto"]
        #expect(try await bench.run(["options": .object(options)])?.result?["attempts"] == 1)
        let speeds = speeds(bench)
        #expect(speeds.contains(Self.mib) && speeds.suffix(3) == [2, 4, 8].map { $0 * Self.mib })
    }

    @Test("Where the stall time-out comes before that helps, convergence acts at half of it")
    func shortStall() async throws {
        let bench = bench(milliseconds: 20, looks: 100)
        let options: JSONObject = ["guest_latency_budget": 10, "convergence": "auto", "stall_timeout_s": 20]
        #expect(try await bench.run(["options": .object(options)])?.result != nil)
        #expect(bench.hypervisor.count("change") == 1)
    }

    @Test("The last bytes are copied without the limit, so that a guest that never rests does not keep it from being in sync")
    func last() async throws {
        let bench = bench(milliseconds: 20)
        bench.hypervisor.change { $0.copyEnd = 4 * Self.mib }
        #expect(try await bench.run(["options": ["guest_latency_budget": 10]])?.result != nil)
        #expect(speeds(bench) == [0])
    }

    @Test("A factor goes by the mean before the copy, which is journaled with the plan")
    func factor() async throws {
        let bench = bench(milliseconds: 4)
        #expect(try await bench.run(["options": ["guest_latency_budget": "3x"]])?.result != nil)
        #expect(bench.control.plan?.guestLatency == 4)
        #expect(try await bench.journal.record(TaskID("task-1"))?.plan?.guestLatency == 4)
    }

    @Test("Without statistics the copy is soon not held back any more")
    func withoutStatistics() async throws {
        let bench = bench(milliseconds: 4)
        let trouble = FakeHypervisor.Trouble(error: HypervisorError(.unsupported, "no statistics"))
        bench.hypervisor.change { $0.troubles[.statistics] = Array(repeating: trouble, count: 1000) }
        #expect(try await bench.run(["options": ["guest_latency_budget": "3x"]])?.result != nil)
        #expect(bench.control.plan?.guestLatency == nil)
        #expect(speeds(bench) == [0])
    }

    @Test("Statistics that never come do not keep an abort waiting")
    func hungStatistics() async throws {
        let bench = bench(milliseconds: 4)
        bench.hypervisor.change { $0.hanging = .statistics }
        let running = Task { [bench] in try await bench.run(["options": ["guest_latency_budget": 5]]) }
        await bench.hypervisor.untilHanging()
        #expect(bench.control.requestAbort())
        #expect(try await running.value?.failure?.isAbort == true)
        bench.hypervisor.change { $0.hanging = nil }
    }

    @Test("The copy of a transient domain is a blockCopy, whose bursts are short")
    func strategy() {
        var plan = Fixture.plan(persistent: false)
        #expect((try? StrategyChoice(plan: plan, saved: SavedStates(), hasTPM: false).strategy(keepsTPMState: true)) == .rebase)
        plan.options.guestLatencyBudget = .factor(2)
        #expect((try? StrategyChoice(plan: plan, saved: SavedStates(), hasTPM: false).strategy(keepsTPMState: true)) == .copy)
        plan.options.strategy = .rebase
        #expect((try? StrategyChoice(plan: plan, saved: SavedStates(), hasTPM: false).strategy(keepsTPMState: true)) == nil)
    }
}
