import JSON
import Testing

@testable import VolumeSwap

@Suite("A guest that is started again on the old volume after a pivot whose end nobody saw")
struct RunnerRestartTests {
    /// QEMU ends the pivot while libvirt is gone; `then` happens before it is back.
    private func unseen(then: @escaping @Sendable (FakeHypervisor) -> Void) -> FakeHypervisor {
        FakeHypervisor(onPivot: { hypervisor throws(HypervisorError) in
            hypervisor.change { ($0.mirror, $0.job) = (nil, nil) }
            then(hypervisor)
            throw HypervisorError(.connectionLost, "gone")
        })
    }

    private func expectDoubt(_ failure: SwapFailure?, _ isInDoubt: Bool) {
        #expect(failure?.inUse == (isInDoubt ? .unknown : .old))
        #expect(failure?.reason.contains("keep both volumes") == isInDoubt)
    }

    @Test("Both volumes are kept; in the same life the pivot has failed", arguments: [true, false], ["copy", "rebase"])
    func pivoting(isRestarted: Bool, strategy: String) async throws {
        let bench = Bench(unseen { hypervisor in if isRestarted { hypervisor.change { $0.life = "second" } } })
        let failure = try await bench.run(["options": ["strategy": .string(strategy)]])?.failure
        expectDoubt(failure, isRestarted)
        #expect((failure?.code == .guestGone) == isRestarted)
    }

    @Test("Whatever job is on the disk by then")
    func foreignJob() async throws {
        let bench = Bench(
            unseen { hypervisor in
                hypervisor.change { ($0.life, $0.job) = ("second", BlockJobInfo(type: "backup", cursor: 0, end: 1)) }
            })
        expectDoubt(try await bench.run()?.failure, true)
    }

    @Test("The event of its stop is enough, unless the pivot was said to have failed", arguments: [true, false])
    func stopped(hasFailed: Bool) async throws {
        let bench = Bench(
            unseen { hypervisor in
                if hasFailed { hypervisor.post(.failed) }
                hypervisor.post(.stopped(reason: "QEMU crashed or was killed"))
            })
        bench.hypervisor.change { $0.life = nil }
        expectDoubt(try await bench.run()?.failure, !hasFailed)
    }

    @Test("Also if pivotd was down meanwhile", arguments: [SwapPhase.pivoting, .finishing, .storing], ["first", "second"])
    func recovered(phase: SwapPhase, life: String) async throws {
        let bench = Bench()
        bench.hypervisor.change { $0.life = life }
        var plan = Fixture.plan()
        plan.pivotLife = "first"
        expectDoubt(try await bench.run(from: .resume(phase, plan))?.failure, life == "second")
    }

    @Test("Also if it was rolled back by then", arguments: ["first", "second"])
    func rolledBack(life: String) async throws {
        let bench = Bench()
        bench.hypervisor.change { $0.life = life }
        var plan = Fixture.plan()
        plan.failure = plan.failure("the pivot was refused 4 times")
        (plan.mayHavePivoted, plan.pivotLife) = (true, "first")
        let failure = try await bench.run(from: .resume(.rollingBack, plan))?.failure
        expectDoubt(failure, life == "second")
        #expect(failure?.leftBehind.isEmpty == (life == "first"))
    }

    @Test("One that is started again once the pivot is known to have failed is on the old volume")
    func restartedLater() async throws {
        var bench = Bench(unseen { _ in })
        let hypervisor = bench.hypervisor
        bench.onPhase = { phase in if phase == .rollingBack { hypervisor.change { $0.life = "second" } } }
        expectDoubt(try await bench.run()?.failure, false)
        #expect(bench.journal.stored("task-1")?.plan?.pivotLife == nil)
    }

    @Test("The life is in the journal before the pivot is requested")
    func journaled() async throws {
        var bench = Bench()
        let journal = bench.journal
        bench.onPhase = { phase in
            if phase == .pivoting { #expect(journal.stored("task-1")?.plan?.pivotLife == "first") }
        }
        #expect(try await bench.run()?.result != nil)
    }
}
