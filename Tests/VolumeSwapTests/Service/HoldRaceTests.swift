import Basics
import Budgets
import Foundation
import JSON
import Synchronization
import Testing

@testable import VolumeSwap

/// Whether a condition becomes true within some time.
private func becomes(_ seconds: Double = 60, _ condition: () async throws -> Bool) async rethrows -> Bool {
    let end = ContinuousClock.now + .seconds(seconds)
    while ContinuousClock.now < end {
        if try await condition() { return true }
        try? await Task.sleep(for: .milliseconds(5))
    }
    return try await condition()
}

@Suite("hold, limits and the queue under attack", .timeLimit(.minutes(10)))
struct HoldRaceTests {
    static let id = TaskID("task-1")

    static func inStep(_ bench: ServiceBench) {
        bench.bench.hypervisor.change { state in
            state.mirror = (Fixture.newPath, true)
            state.job = BlockJobInfo(type: "copy", cursor: 10, end: 10)
        }
    }

    /// Runs a service with a held swap.
    static func holding(
        _ options: JSONObject = [:], _ body: (ServiceBench, SwapService) async throws -> Void
    ) async throws {
        let bench = ServiceBench()
        try await bench.running { (service: SwapService) async throws in
            _ = await bench.submit(HoldTests.record(options))
            try await HoldTests.untilHeld(service)
            try await body(bench, service)
        }
    }

    /// Has another swap take the domain, and `pivot_swap` wait for it.
    static func pivotBehindAnother(_ service: SwapService) async throws -> (DomainLocks, Task<[SwapStatus], any Error>) {
        let locks = service.environment.domainLocks
        try await locks.acquire(Fixture.uuid, for: TaskID("other"))
        let swaps = Task { try await service.pivot([id]) }
        while locks.waiting(Fixture.uuid) == 0 { await Task.yield() }
        return (locks, swaps)
    }

    @Test("after a restart a held swap can be pivoted")
    func restart() async throws {
        let bench = ServiceBench()
        Self.inStep(bench)
        bench.bench.journal.put(HoldTests.held())
        try await bench.running { (service: SwapService) async throws in
            #expect(try await service.recover() == 1)
            try await Task.sleep(for: .milliseconds(500))
            let status = try await service.status(.task(Self.id))
            #expect(status.phase == .ready)
            #expect(bench.bench.journal.stored("task-1")?.phase == .ready)
            await #expect(throws: Never.self) { try await service.pivot([Self.id]) }
        }
    }

    @Test("readiness is judged again after the wait for the turn")
    func stale() async throws {
        try await Self.holding { bench, service in
            let (locks, swaps) = try await Self.pivotBehindAnother(service)
            // Hours later the new volume hangs: nothing goes on.
            bench.bench.hypervisor.change { state in
                state.isStuck = true
                state.job = BlockJobInfo(type: "copy", cursor: 5, end: 10)
            }
            try await Task.sleep(for: .milliseconds(300))
            locks.release(TaskID("other"))
            #expect(await !becomes(1) { bench.bench.hypervisor.count("pivot") > 0 })
            swaps.cancel()
        }
    }

    @Test("a new volume that hangs once the turn has come is not waited for without end")
    func hangs() async throws {
        var bench = Bench()
        bench.rollBackPatience = .milliseconds(50)
        let (hypervisor, clock, journal) = (bench.hypervisor, bench.clock, bench.journal)
        let service = ServiceBench(bench)
        try await service.running { (swaps: SwapService) async throws in
            _ = await service.submit(HoldTests.record(["stall_timeout_s": 30]))
            try await HoldTests.untilHeld(swaps)
            hypervisor.change { $0.job = BlockJobInfo(type: "copy", cursor: 5, end: 10) }
            let pivot = Task { try await swaps.pivot([Self.id]) }
            let isRolledBack = await becomes {
                clock.jump(.seconds(10))
                hypervisor.post(.recheck)
                return journal.stored("task-1")?.phase == .rollingBack
            }
            #expect(isRolledBack && hypervisor.count("pivot") == 0)
            #expect(try await service.nextReply().outcome.failure?.code == .stalled)
            pivot.cancel()
            _ = try? await pivot.value
        }
    }

    @Test("a copy that the guest has outrun while it was held is made to converge before it pivots")
    func outrun() async throws {
        let service = ServiceBench(
            Bench(FakeHypervisor(onChange: { $0.change { $0.job = BlockJobInfo(type: "copy", cursor: 9, end: 9) } })))
        let hypervisor = service.bench.hypervisor
        try await service.running { (swaps: SwapService) async throws in
            _ = await service.submit(HoldTests.record(["convergence": "auto"]))
            try await HoldTests.untilHeld(swaps)
            hypervisor.change { $0.job = BlockJobInfo(type: "copy", cursor: 9, end: 1 << 40) }
            RunnerConvergenceTests.write(hypervisor, service.bench.clock)
            _ = try await swaps.pivot([Self.id])
            #expect(try await service.nextReply().outcome.result != nil)
        }
        #expect(hypervisor.log.filter { ["copy", "change", "pivot"].contains($0) } == ["copy", "change", "pivot"])
    }

    @Test("a copy that fails while it waits for its turn is reported")
    func failsWaiting() async throws {
        try await Self.holding { bench, service in
            let (locks, swaps) = try await Self.pivotBehindAnother(service)
            bench.bench.hypervisor.post(.failed)
            #expect(try await becomes { try await service.status(.task(Self.id)).phase != .ready })
            locks.release(TaskID("other"))
            #expect(try await bench.nextReply().outcome.failure?.inUse == .old)
            _ = try? await swaps.value
        }
    }

    @Test("no place is lost when a held disk becomes free before an earlier place is filled")
    func lostPlace() async throws {
        let queue = InstanceQueue(limit: 1)
        let ran = Mutex<[String]>([])
        let (gates, gate) = AsyncStream<Void>.makeStream()
        let (blocks, block) = AsyncStream<Void>.makeStream()
        let run = Task { await queue.run() }
        // Holds vdb.
        let first = queue.reserve("K", disk: "vdb")
        queue.fill(first) {
            queue.giveUpTurn(first, holding: "vdb")
            for await _ in gates { break }
        }
        while queue.holding == 0 { await Task.yield() }
        // All slots are taken.
        let other = queue.reserve("L", disk: "vda")
        queue.fill(other) { for await _ in blocks { break } }
        while queue.running == 0 { await Task.yield() }
        let early = queue.reserve("K", disk: "vdb")  // being journaled
        let late = queue.reserve("K", disk: "vdc")
        queue.fill(late) { ran.withLock { $0.append("vdc") } }
        gate.yield()
        while queue.holding != 0 { await Task.yield() }
        block.yield()
        try await Task.sleep(for: .milliseconds(200))
        queue.fill(early) { ran.withLock { $0.append("vdb") } }
        #expect(await becomes { ran.withLock { $0.count } == 2 })
        run.cancel()
        await run.value
    }

    @Test("a pause holds back a swap that waits for a limit")
    func pause() async throws {
        var bench = Bench(FakeHypervisor { _ in })
        bench.rules = BudgetRule.rules(json: #"[{"concurrent": 1}]"#) ?? []
        let service = ServiceBench(bench)
        try await service.running { (service1: SwapService) async throws in
            let budget = service1.environment.budget
            let some = BudgetVolume(driver: "x", places: [])
            #expect(budget.admit(TaskID("y"), { BudgetVolumes(source: some, destination: some) }, isBegun: true) == nil)
            _ = await service.submit(Fixture.record("task-1"))
            while try await service1.status(.task(Self.id)).waitsFor?.hasPrefix("limit") != true { await Task.yield() }
            service1.isPaused = true
            budget.leave(TaskID("y"))
            #expect(await !becomes(1) { bench.hypervisor.count("copy") > 0 })
            _ = try await service1.abort(.task(Self.id))
        }
    }

    @Test("set_bandwidth applies to a held copy")
    func speed() async throws {
        try await Self.holding(["bandwidth_mib_s": 1]) { bench, service in
            _ = try await service.setBandwidth(.task(Self.id), mibS: 500)
            #expect(await becomes { bench.bench.hypervisor.log.contains("speed \(500 << 20)") })
        }
    }

    @Test("a held swap whose copy starts over after a restart is held again, without its domain")
    func startsOver() async throws {
        let bench = ServiceBench()
        bench.bench.hypervisor.change { state in
            state.mirror = nil  // libvirt has forgotten the destination
            state.job = BlockJobInfo(type: "copy", cursor: 10, end: 10)
        }
        bench.bench.journal.put(HoldTests.held())
        try await bench.running { (service: SwapService) async throws in
            #expect(try await service.recover() == 1)
            #expect(await becomes { bench.bench.hypervisor.count("copy") > 0 })
            #expect(try await becomes { try await service.status(.task(Self.id)).phase == .ready })
            #expect(await becomes { service.environment.domainLocks.holder(of: Fixture.uuid) == nil })
            await #expect(throws: Never.self) { try await service.pivot([Self.id]) }
        }
    }

    @Test("a disk is never seen free while it changes from its domain's lock to being held")
    func gap() async throws {
        let locks = DomainLocks()
        var gaps = 0
        for _ in 0..<2_000 {
            try await locks.acquire("u", for: TaskID("a"))
            let other = Task.detached {
                try await locks.acquire("u", for: TaskID("b"))
                return locks.holder(of: "vdb", of: "u") == nil
            }
            while locks.waiting("u") == 0 { await Task.yield() }
            locks.hold("u", disk: "vdb", for: TaskID("a"))
            if try await other.value { gaps += 1 }
            locks.release(TaskID("a"))
            locks.release(TaskID("b"))
        }
        #expect(gaps == 0)
    }

    @Test("a status does not wait for a repeated request that is being stored")
    func arrival() async throws {
        let bench = ServiceBench(Bench(FakeHypervisor { _ in }))
        try await bench.running { (service: SwapService) async throws in
            _ = await bench.submit(Fixture.record("task-1"))
            while try await service.status(.task(Self.id)).phase != .copying { await Task.yield() }
            service.arrivals.withLock { $0.begin(Self.id) }
            let isAnswered = Mutex(false)
            let answer = Task {
                _ = try await service.status(.task(Self.id))
                isAnswered.withLock { $0 = true }
            }
            #expect(await becomes { isAnswered.withLock { $0 } })
            service.arrivals.withLock { $0.end(Self.id) }
            try await answer.value
            _ = try await service.abort(.task(Self.id))
            _ = try await bench.nextReply()
        }
    }

    @Test("time-outs count again for a swap that is copying anew after it was held")
    func timeouts() async throws {
        let bench = ServiceBench(Bench(FakeHypervisor { _ in }))
        bench.bench.hypervisor.change { state in
            state.mirror = nil
            state.job = BlockJobInfo(type: "copy", cursor: 10, end: 10)
        }
        var record = HoldTests.held()
        record.plan?.options.timeoutS = 60
        record.plan?.options.stallTimeoutS = 30
        bench.bench.journal.put(record)
        try await bench.running { (service: SwapService) async throws in
            #expect(try await service.recover() == 1)
            #expect(await becomes { bench.bench.hypervisor.count("copy") > 0 })
            bench.bench.clock.jump(.seconds(86_400))
            bench.bench.hypervisor.post(.recheck)
            let isOver = try await becomes { try await service.status(.task(Self.id)).record.isOver }
            #expect(isOver)
        }
    }

    @Test("an abort of a held swap ends its copy although another swap of the instance runs")
    func abortBeside() async throws {
        try await Self.holding { bench, service in
            let locks = service.environment.domainLocks
            try await locks.acquire(Fixture.uuid, for: TaskID("other"))
            _ = try await service.abort(.task(Self.id))
            let isEnded = await becomes { bench.bench.hypervisor.count("abort") > 0 }
            #expect(isEnded)
            locks.release(TaskID("other"))
            _ = try await bench.nextReply()
        }
    }

    @Test("a cancelled step does not go on without the domain")
    func cancelled() async throws {
        // Held before the restart; someone else pivoted it meanwhile; another swap of the domain is under way.
        let bench = ServiceBench()
        bench.bench.hypervisor.change { state in
            state.liveSource = Fixture.newPath
            state.storedSource = Fixture.oldPath
        }
        bench.bench.journal.put(HoldTests.held())
        try await bench.running { (service: SwapService) async throws in
            let locks = service.environment.domainLocks
            try await locks.acquire(Fixture.uuid, for: TaskID("other"))
            #expect(try await service.recover() == 1)
            while locks.waiting(Fixture.uuid) == 0 { await Task.yield() }
            #expect(bench.bench.hypervisor.count("define") == 0)
        }
        #expect(bench.bench.hypervisor.count("define") == 0)
    }

    @Test("a cancelled pivot_swap lets no further swap pivot")
    func released() async throws {
        let bench = ServiceBench()
        Self.inStep(bench)
        bench.bench.journal.put(HoldTests.held())
        try await bench.running { (service: SwapService) async throws in
            _ = await bench.submit(HoldTests.record())
            let one = SwapControl(phase: .ready)
            let two = SwapControl(phase: .ready)
            _ = one.hold()
            _ = two.hold()
            for (name, control) in [("a", one), ("b", two)] {
                var plan = Fixture.plan()
                plan.domain = DomainIdentity(uuid: name, name: name)
                control.update(plan)
                var record = SwapRecord(
                    id: TaskID(name), instanceKey: "k\(name)", disk: "vdb", args: Fixture.arguments(), replyTo: nil,
                    acceptedAt: .now)
                record.phase = .ready
                bench.bench.journal.put(record)
                service.active.withLock { $0[TaskID(name)] = .init(control: control, ticket: nil, record: record) }
            }
            let call = Task { try await service.pivot([TaskID("a"), TaskID("b")]) }
            while !one.isReleased { await Task.yield() }
            call.cancel()
            _ = try? await call.value
            #expect(!two.isReleased)
        }
    }

    @Test("pivot_swap right after a restart")
    func rightAfter() async throws {
        let bench = ServiceBench()
        Self.inStep(bench)
        bench.bench.journal.put(HoldTests.held())
        #expect(try await bench.service.recover() == 1)
        #expect(bench.service.active.withLock { $0[Self.id]?.control.isHeld } == true)
    }

    @Test("two pivot_swap and an abort at once: one outcome, true to the guest, and nothing leaks")
    func race() async throws {
        var (moved, aborted) = (0, 0)
        for round in 0..<150 {
            let bench = ServiceBench()
            try await bench.running { (service: SwapService) async throws in
                _ = await bench.submit(HoldTests.record())
                try await HoldTests.untilHeld(service)
                async let one = try? service.pivot([Self.id])
                async let two = try? service.pivot([Self.id])
                if round % 3 > 0 { for _ in 0..<(round % 17) { await Task.yield() } }
                async let three = try? service.abort(.task(Self.id))
                let outcome = try await bench.nextReply().outcome
                _ = await (one, two, three)
                _ = try await bench.nextSettlement()
                let source = bench.bench.hypervisor.state.withLock { $0.liveSource }
                #expect((outcome.result != nil) == (source == Fixture.newPath))
                if outcome.result != nil { moved += 1 } else { aborted += 1 }
                #expect(await becomes { service.running == 0 && service.held == 0 && service.queued == 0 })
                #expect(service.environment.domainLocks.holder(of: Fixture.uuid) == nil)
                #expect(service.environment.domainLocks.holder(of: "vdb", of: Fixture.uuid) == nil)
            }
        }
    }

    @Test("a guest that stops while its swap is held")
    func stops() async throws {
        try await Self.holding { bench, service in
            bench.bench.hypervisor.change { state in
                state.status.isActive = false
                state.mirror = nil
                state.job = nil
            }
            bench.bench.hypervisor.post(.stopped(reason: "killed"))
            let outcome = try await bench.nextReply().outcome
            #expect(outcome.failure != nil)
        }
    }
}
